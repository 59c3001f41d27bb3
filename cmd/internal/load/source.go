package load

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// source is an open file, decompressed.
type source struct {
	path     string
	size     int64 // of the file
	modified time.Time
	read     atomic.Int64 // bytes of the file so far
	text     *bufio.Reader
	closers  []func() error
}

const readAhead = 1 << 20

// open opens a file and finds by its first bytes whether it is compressed, whatever it is called.
func open(path string) (_ *source, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &source{path: path, closers: []func() error{f.Close}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("not a regular file, which an import needs to be resumed")}
	}
	s.size, s.modified = info.Size(), info.ModTime()
	raw := bufio.NewReaderSize(counter{f, &s.read}, readAhead)
	head, err := raw.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	err = nil
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		var unzipped *gzip.Reader
		if unzipped, err = gzip.NewReader(raw); err != nil {
			return nil, err
		}
		s.closers = append(s.closers, unzipped.Close)
		s.text = bufio.NewReaderSize(unzipped, readAhead)
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		const mostMemory = 256 << 20
		var unpacked *zstd.Decoder
		if unpacked, err = zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostMemory), zstd.WithDecoderMaxWindow(mostMemory/2)); err != nil {
			return nil, err
		}
		s.closers = append(s.closers, func() error { unpacked.Close(); return nil })
		s.text = bufio.NewReaderSize(unpacked, readAhead)
	default:
		s.text = raw
	}
	return s, nil
}

func (s *source) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// counter counts what is read, for the progress.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
