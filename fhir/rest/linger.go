package rest

import (
	"io"
	"net/http"
	"time"
)

// What is taken in of a body that was refused for its size, once that is answered.
const (
	mostLingered = 32 << 20
	lingering    = 2 * time.Second
)

// linger lets a client finish sending what was refused already. Many clients only read an answer when they have sent
// everything, and would see a broken connection in place of it. Nothing of it is kept, and the connection ends behind it.
func (q *request) linger() {
	out := http.NewResponseController(q.c.Response())
	if out.Flush() != nil || out.SetReadDeadline(time.Now().Add(lingering)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, q.c.Request().Body, mostLingered)
}
