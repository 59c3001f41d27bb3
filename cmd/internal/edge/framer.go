package edge

import (
	"bytes"
	"fmt"
	"strings"
)

// framer follows the requests of one HTTP/1 connection and ends it where they are framed in a way that two readers
// could understand differently (RFC 9112 sections 2.2, 3, 5, 6 and 7.1): that is how a request is hidden in another's body. It
// keeps nothing but the line that it is in.
type framer struct {
	state   framing
	line    []byte // the part of it that came with earlier reads
	section int    // bytes of the head, of the trailers, or of chunk extensions
	left    int64  // bytes of the body or chunk that are still to come
	head    head
	limit   int // of a section
}

// framing is where in a request a framer is.
type framing uint8

const (
	inRequestLine framing = iota
	inHead
	inBody
	inChunkSize
	inChunk
	inChunkEnd
	inTrailers
)

const (
	maxChunkLine = 256 // bytes of a chunk's size and extensions
	maxTrailers  = 8 << 10
)

// framingError is a break of the rules. It is no network error, or else net/http would not answer it.
type framingError struct{ reason string }

func (e *framingError) Error() string { return "malformed request: " + e.reason }

func broken(format string, args ...any) error { return &framingError{fmt.Sprintf(format, args...)} }

// feed follows p and returns how much of it may be passed on: all, or with an error what stands before the line that
// breaks the rules. After an error the framer must not be used.
func (f *framer) feed(p []byte) (passed int, err error) {
	for passed < len(p) {
		rest := p[passed:]
		if f.state == inBody || f.state == inChunk {
			n := min(f.left, int64(len(rest)))
			f.left -= n
			passed += int(n)
			if f.left == 0 {
				f.bodyEnds()
			}
			continue
		}
		n, line, complete, err := f.nextLine(rest)
		if err == nil && complete {
			err = f.take(line)
			f.line = f.line[:0]
		}
		if err != nil {
			return passed, err
		}
		passed += n
	}
	return passed, nil
}

func (f *framer) bodyEnds() {
	if f.state == inChunk {
		f.state = inChunkEnd
		return
	}
	f.state = inRequestLine
}

// nextLine cuts the line off that p begins with; complete is false if its end is still to come. Lines end with CR LF, and
// neither stands alone.
func (f *framer) nextLine(p []byte) (n int, line []byte, complete bool, err error) {
	end := bytes.IndexByte(p, '\n')
	n = end + 1
	if end < 0 {
		n = len(p)
	}
	if f.section += n; f.section > f.most() {
		return 0, nil, false, broken("a head, trailer or chunk size is too long")
	}
	if end < 0 {
		f.line = append(f.line, p...)
		return n, nil, false, loneCR(f.line[:len(f.line)-1]) // the last may be followed by its LF
	}
	line = p[:end]
	if len(f.line) > 0 {
		f.line = append(f.line, line...)
		line = f.line
	}
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return 0, nil, false, broken("a line ends with LF alone")
	}
	line = line[:len(line)-1]
	return n, line, true, loneCR(line)
}

func loneCR(line []byte) error {
	if bytes.IndexByte(line, '\r') >= 0 {
		return broken("a CR stands alone")
	}
	return nil
}

func (f *framer) most() int {
	switch f.state {
	case inChunkSize, inChunkEnd:
		return maxChunkLine
	case inTrailers:
		return maxTrailers
	default:
		return f.limit
	}
}

// take judges a line, and goes on to the state that follows it.
func (f *framer) take(line []byte) error {
	switch f.state {
	case inRequestLine:
		f.head = head{}
		f.state = inHead
		return f.head.requestLine(line)
	case inHead:
		if len(line) > 0 {
			return f.head.field(line)
		}
		f.section = 0
		return f.headEnds()
	case inChunkSize:
		f.section = 0
		return f.chunkSize(line)
	case inChunkEnd:
		if len(line) > 0 {
			return broken("a chunk is longer than its size")
		}
		f.section, f.state = 0, inChunkSize
		return nil
	default: // trailers
		if len(line) > 0 {
			return trailer(line)
		}
		f.section, f.state = 0, inRequestLine
		return nil
	}
}

func (f *framer) headEnds() error {
	if err := f.head.check(); err != nil {
		return err
	}
	switch {
	case f.head.chunked:
		f.state = inChunkSize
	case f.head.length > 0:
		f.state, f.left = inBody, f.head.length
	default:
		f.state = inRequestLine
	}
	return nil
}

// chunkSize reads a size and skips its extensions, which nobody defines (RFC 9112 section 7.1.1).
func (f *framer) chunkSize(line []byte) error {
	text, extensions, _ := strings.Cut(string(line), ";")
	if text == "" || len(text) > 15 {
		return broken("a chunk has no size, or one that is too large")
	}
	if i := strings.IndexFunc(extensions, isControl); i >= 0 {
		return broken("a chunk extension holds a control character")
	}
	var size int64
	for i := range len(text) {
		digit := strings.IndexByte("0123456789abcdef", lower(text[i]))
		if digit < 0 {
			return broken("a chunk size is not a hexadecimal number")
		}
		size = size<<4 | int64(digit)
	}
	if size == 0 {
		f.state = inTrailers
		return nil
	}
	f.state, f.left = inChunk, size
	return nil
}

// trailer judges a field behind the body: those that frame a message or route it must not stand there (RFC 9110 section 6.5.1).
func trailer(line []byte) error {
	name, _, err := splitField(line)
	if err != nil {
		return err
	}
	switch strings.ToLower(string(name)) {
	case "content-length", "transfer-encoding", "host", "content-encoding", "trailer", "authorization":
		return broken("%s stands behind the body", name)
	}
	return nil
}
