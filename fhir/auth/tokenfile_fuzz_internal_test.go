package auth

import "testing"

// FuzzTokenFile: a file of tokens is read whole or not at all, and each token that is read can be compared.
func FuzzTokenFile(f *testing.F) {
	_, hash := NewToken()
	f.Add([]byte(`{"name":"lab","hash":"` + hash + `","scopes":["system/*.rs"],"expires":"2027-01-01T00:00:00Z"}` + "\n"))
	f.Add([]byte(`{"name":"lab","hash":"` + hash + `","unknown":1}`))
	f.Add([]byte("{}\n\n{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tokens, err := TokenFile{Path: "tokens.jsonl"}.parse(text)
		if err != nil && len(tokens) > 0 {
			t.Errorf("%q: %d tokens in spite of %v", text, len(tokens), err)
		}
		for _, token := range tokens {
			if _, ok := token.digest(); !ok || token.Name == "" {
				t.Errorf("%q holds a token without hash or name: %+v", text, token)
			}
		}
	})
}
