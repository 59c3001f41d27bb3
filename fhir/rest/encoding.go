package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/labstack/echo/v4"

	"fhirhook/fhir"
)

// The content codings that are read and written (RFC 9110 section 8.4.1, RFC 8878).
const (
	codingGzip  = "gzip"
	codingZstd  = "zstd"
	codingPlain = "identity"
)

// worthCompressing is the size from which a body is compressed: a smaller one fits into a packet or two anyhow.
const worthCompressing = 1 << 10

// maxWindow bounds what a zstd frame may ask of memory before it has sent anything. RFC 8878 section 3.1.1.1.2
// recommends to support 8 MiB.
const maxWindow = 8 << 20

// decoded undoes the Content-Encoding of a request's body. What comes out is not bounded here: its reader stops
// at the limit, so that a bomb costs no more than the limit.
func decoded(coding string, body io.Reader) (io.ReadCloser, error) {
	switch strings.ToLower(strings.TrimSpace(coding)) {
	case "", codingPlain:
		return io.NopCloser(body), nil
	case codingGzip, "x-gzip":
		r, err := gzip.NewReader(body)
		if err != nil {
			return nil, undecodable(codingGzip, err)
		}
		return r, nil
	case codingZstd:
		r, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, undecodable(codingZstd, err)
		}
		return r.IOReadCloser(), nil
	default:
		return nil, fhir.Errorf(fhir.UnsupportedMedia, "http.Content-Encoding", "a body in Content-Encoding %s can't be read: send it in %s, %s or plain", clip(coding), codingGzip, codingZstd)
	}
}

// undecodable blames the body where its coding is broken; an error of the connection stays what it is.
func undecodable(coding string, err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large || isConnection(err) {
		return err
	}
	return fhir.Errorf(fhir.Structure, "http.Content-Encoding", "the body is not what its Content-Encoding %s says, or ends too early: %v", clip(coding), err)
}

// chooseCoding picks the coding of an answer by the Accept-Encoding lines: the one with the highest weight, of
// equal ones zstd before gzip (RFC 9110 section 12.5.3).
func chooseCoding(lines []string) string {
	weights := map[string]float64{}
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			weight := 1.0
			if _, value, ok := strings.Cut(params, "="); ok {
				q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				if err != nil || q < 0 || q > 1 {
					continue
				}
				weight = q
			}
			weights[strings.ToLower(strings.TrimSpace(name))] = weight
		}
	}
	best, most := codingPlain, 0.0
	for _, coding := range []string{codingZstd, codingGzip} {
		weight, named := weights[coding]
		if !named {
			weight = weights["*"]
		}
		if weight > most {
			best, most = coding, weight
		}
	}
	if plain, named := weights[codingPlain]; named && plain > most {
		return codingPlain
	}
	return best
}

var (
	gzipWriters = sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // a constant level
		}
		return w
	}}
	zstdWriter = sync.OnceValue(func() *zstd.Encoder {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // constant options
		}
		return w
	})
)

// compressed is body in a coding.
func compressed(coding string, body []byte) ([]byte, error) {
	if coding == codingZstd {
		return zstdWriter().EncodeAll(body, make([]byte, 0, len(body)/4)), nil
	}
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	var out bytes.Buffer
	out.Grow(len(body) / 4)
	w.Reset(&out)
	_, err := w.Write(body)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("compress the answer: %w", err)
	}
	return out.Bytes(), nil
}

// encode compresses a body if the client takes that and it is worth it, and says so in the header.
func (q *request) encode(body []byte) ([]byte, error) {
	header := q.c.Response().Header()
	if len(body) < worthCompressing {
		return body, nil
	}
	coding := chooseCoding(q.c.Request().Header.Values(echo.HeaderAcceptEncoding))
	if coding == codingPlain {
		return body, nil
	}
	header.Set(echo.HeaderContentEncoding, coding)
	return compressed(coding, body)
}
