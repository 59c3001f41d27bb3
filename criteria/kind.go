package criteria

var kindNames = [...]string{
	Number: "number", Date: "date", String: "string", Token: "token", Reference: "reference",
	Composite: "composite", Quantity: "quantity", URI: "uri", Special: "special",
}

// String is the code that SearchParameter.type uses.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return ""
}
