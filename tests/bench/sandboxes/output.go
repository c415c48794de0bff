package main

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"time"
)

const (
	blockBytes = 16 * 1024 // of output in one line or frame at most
	lineBytes  = 64        // of output up to its newline, which JSON writes with one byte more
	slabBlocks = 16        // in one write at most
)

// output writes what a run prints in one of the two protocols. Whole blocks are always the same and lie ready.
type output struct {
	slab  []byte                            // whole blocks, one behind the other
	block int                               // length of one
	part  func(out []byte, size int) []byte // appends one of `size` bytes of output, up to a whole one
}

func newOutput(part func([]byte, int) []byte) *output {
	o := &output{part: part}
	for i := 0; i < slabBlocks; i++ {
		o.slab = part(o.slab, blockBytes)
	}
	o.block = len(o.slab) / slabBlocks
	return o
}

// write sends head and `size` bytes of output. Returns: what is not sent yet, in head's memory, as it may go out together
// with what follows.
func (o *output) write(w io.Writer, head []byte, size int64) ([]byte, error) {
	if size >= blockBytes {
		if _, err := w.Write(head); err != nil {
			return nil, err
		}
		head = head[:0]
	}
	for size >= blockBytes {
		count := size / blockBytes
		if count > slabBlocks {
			count = slabBlocks
		}
		if _, err := w.Write(o.slab[:int(count)*o.block]); err != nil {
			return nil, err
		}
		size -= count * blockBytes
	}
	if size > 0 {
		head = o.part(head, int(size))
	}
	return head, nil
}

var (
	plainBlock = bytes.Repeat([]byte(strings.Repeat("0123456789abcdef", 4)[:lineBytes-1]+"\n"), blockBytes/lineBytes)
	jsonBlock  = bytes.ReplaceAll(plainBlock, []byte("\n"), []byte(`\n`))

	// One time for all lines: nobody reads it, and to write the right one would cost as much as the rest.
	lineTail = `", "timestamp": "` + time.Now().UTC().Format("2006-01-02T15:04:05.000000-07:00") + "\"}\n"

	executionOutput = newOutput(appendLine)
	processOutput   = newOutput(appendStdout)
)

// appendLine: as the interpreter writes what the code printed.
func appendLine(out []byte, size int) []byte {
	out = append(out, `{"type": "stdout", "text": "`...)
	out = append(out, jsonBlock[:size+size/lineBytes]...)
	return append(out, lineTail...)
}

// appendStdout: as envd writes what a process printed.
func appendStdout(out []byte, size int) []byte {
	return appendData(out, "stdout", plainBlock[:size])
}

func appendData(out []byte, name string, text []byte) []byte {
	at := len(out)
	out = append(out, "\x00\x00\x00\x00\x00"+`{"event":{"data":{"`...)
	out = append(append(out, name...), `":"`...)
	from := len(out)
	out = append(out, make([]byte, base64.StdEncoding.EncodedLen(len(text)))...)
	base64.StdEncoding.Encode(out[from:], text)
	out = append(out, `"}}}`...)
	setFrameLength(out[at:])
	return out
}
