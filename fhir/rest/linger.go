package rest

import (
	"io"
	"net/http"
	"time"
)

// What is taken in of a body that was refused for its size, once that is answered.
const (
	mostLingered  = 32 << 20
	lingerPiece   = 64 << 10
	betweenPieces = 5 * time.Second
	longestLinger = 30 * time.Second
)

// linger lets a client finish sending what was refused already. Many clients only read an answer when they have sent
// everything, and would see a broken connection in place of it. Nothing of it is kept, and the connection ends behind it.
func (q *request) linger() {
	out := http.NewResponseController(q.c.Response())
	if out.Flush() != nil {
		return
	}
	end := time.Now().Add(longestLinger)
	for left := mostLingered; left > 0; left -= lingerPiece {
		next := time.Now().Add(betweenPieces)
		if next.After(end) {
			next = end
		}
		if out.SetReadDeadline(next) != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, q.c.Request().Body, lingerPiece); err != nil {
			return // it has come to its end, or is too slow
		}
	}
}
