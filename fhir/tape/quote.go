package tape

import (
	"bytes"
	"encoding/json"
)

// Quote writes a JSON string. Unlike json.Marshal it leaves <, > and & as they are.
func Quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return bytes.TrimRight(b.Bytes(), "\n")
}
