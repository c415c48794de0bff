package main

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

const executeBeat = 5 * time.Second

var (
	executeKeepalive = []byte("{\"type\": \"keepalive\"}\n")
	codeField        = []byte(`"code"`)
)

// onExecute answers as the interpreter does: the code was taken, what it printed, the end.
func (s *server) onExecute(w http.ResponseWriter, r *http.Request, box *sandbox) {
	memory := newScratch()
	defer memory.free()
	body, ok := memory.readOrRefuse(w, r)
	if !ok {
		return
	}
	if !bytes.Contains(body, codeField) {
		answer(w, 422, []byte(`{"detail":[{"type":"missing","loc":["body","code"],"msg":"Field required","input":{}}]}`))
		return
	}
	s.stats.runs.Add(1)
	s.stats.running.add(1)
	defer s.stats.running.add(-1)
	wanted := s.settings.wish()
	wanted.read(body)
	beginStream(w, nil)
	out := append(memory.out[:0], `{"type": "number_of_executions", "execution_count": `...)
	out = append(strconv.AppendInt(out, box.executions.Add(1), 10), "}\n"...)
	if wanted.runMs > 0 {
		until := time.Now().Add(wanted.duration())
		_, _ = w.Write(out)
		out = out[:0]
		if s.wait(w, r, box, pause{until: until, beat: executeKeepalive, every: executeBeat}) != awaitedTime {
			return
		}
	}
	out, err := executionOutput.write(w, out, wanted.outputBytes)
	if err != nil {
		return
	}
	memory.out = append(out, "{\"type\": \"end_of_execution\"}\n"...)
	_, _ = w.Write(memory.out)
}

// beginStream. Chunks, as both servers in a sandbox always send; said here, so that a short answer is none with a
// Content-Length and still goes out in one write. contentType: nil: none, as the interpreter's.
func beginStream(w http.ResponseWriter, contentType []string) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["Transfer-Encoding"] = chunked
}
