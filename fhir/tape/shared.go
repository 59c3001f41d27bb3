package tape

// Shared returns the document for one who reads many of its texts and keeps none of them for long: they are parts of
// one copy of its bytes and cost nothing each, and each keeps all of it in memory.
func (d *Doc) Shared() *Doc {
	if d == nil || d.text != "" {
		return d
	}
	return &Doc{bytes: d.bytes, tokens: d.tokens, text: string(d.bytes)}
}

// part is a part of the bytes as a text.
func (d *Doc) part(start, end uint32) string {
	if d.text != "" {
		return d.text[start:end]
	}
	return string(d.bytes[start:end])
}
