package bolt

import (
	"io"
	"os"
)

// readAhead reads a file from its beginning to its end, so that the kernel has it in memory when all of its pages are
// visited: through the map, where bbolt forbids the kernel to guess, each page that isn't there is a wait of its own.
// Whoever opens the file says what is wrong with it.
func readAhead(path string) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{file}, make([]byte, 1<<20))
}
