package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

type server struct {
	settings settings
	stats    stats
	store    store
}

func newServer() *server {
	s := &server{}
	s.store.init(&s.stats)
	return s
}

// ServeHTTP. No http.ServeMux: paths are few, and it costs as much as some of the answers.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.HasPrefix(path, "/__") {
		s.onOwn(w, r)
		return
	}
	s.stats.requests.Add(1)
	if r.ProtoMajor == 2 {
		s.stats.h2Requests.Add(1)
	}
	switch {
	case path == "/v2/sandboxes" || path == "/sandboxes":
		s.onSandboxes(w, r)
	case strings.HasPrefix(path, "/sandboxes/"):
		s.onSandbox(w, r, path[len("/sandboxes/"):])
	case path == "/health" && r.Header["E2b-Sandbox-Id"] == nil:
		w.WriteHeader(204)
	default:
		s.onDataPlane(w, r)
	}
}

// ---- The data plane's door ----

const (
	envdPort        = "49983"
	interpreterPort = "49999"
)

func (s *server) onDataPlane(w http.ResponseWriter, r *http.Request) {
	id, port := header(r, "E2b-Sandbox-Id"), header(r, "E2b-Sandbox-Port")
	if id == "" || port == "" {
		http.Error(w, "missing header", 400)
		return
	}
	box := s.store.find(id)
	switch {
	case box == nil:
		refuseAtDoor(w, id, "The sandbox was not found", "")
	case port == interpreterPort:
		s.onInterpreter(w, r, box)
	case port == envdPort:
		s.onEnvd(w, r, box)
	default:
		refuseAtDoor(w, id, "The sandbox is running but port is not open", port)
	}
}

func (s *server) onInterpreter(w http.ResponseWriter, r *http.Request, box *sandbox) {
	switch r.Method + r.URL.Path {
	case "POST/execute":
		s.onExecute(w, r, box)
	case "GET/health":
		answer(w, 200, []byte(`"OK"`))
	default:
		answer(w, 404, []byte(`{"detail":"Not Found"}`))
	}
}

func (s *server) onEnvd(w http.ResponseWriter, r *http.Request, box *sandbox) {
	call := r.Method + r.URL.Path
	if call == "GET/health" {
		w.WriteHeader(204)
		return
	}
	if header(r, "X-Access-Token") != box.token {
		refuse(w, 401, "unauthorized access, please provide a valid access token or method signing if supported")
		return
	}
	switch call {
	case "POST/process.Process/Start":
		s.onProcessStart(w, r, box)
	case "POST/process.Process/Connect":
		s.onProcessConnect(w, r, box)
	case "POST/process.Process/SendSignal":
		s.onProcessSignal(w, r, box)
	case "POST/process.Process/List":
		s.onProcessList(w, r, box)
	case "POST/files":
		s.onFilesWrite(w, r, box)
	case "GET/files":
		s.onFileRead(w, r, box)
	default:
		http.Error(w, "404 page not found", 404)
	}
}

// refuseAtDoor is the word of the proxy in front of the sandboxes. port: "" where it does not matter.
func refuseAtDoor(w http.ResponseWriter, id, message, port string) {
	name, _ := json.Marshal(id)
	body := `{"sandboxId": ` + string(name) + `, "message": "` + message + `", `
	if _, err := strconv.Atoi(port); err == nil {
		body += `"port": ` + port + `, `
	}
	answer(w, 502, []byte(body+`"code": 502}`))
}

// ---- Requests and answers ----

// header is r.Header.Get for a name in canonical form.
func header(r *http.Request, name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Header values that all answers share: net/http does not write to them.
var (
	typeJSON    = []string{"application/json"}
	typeText    = []string{"text/plain; charset=utf-8"}
	typeConnect = []string{"application/connect+json"}
	chunked     = []string{"chunked"}
)

func answer(w http.ResponseWriter, status int, body []byte) {
	answerAs(w, status, typeJSON, body)
}

func answerAs(w http.ResponseWriter, status int, contentType []string, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	if len(body) > 2048 { // net/http counts by itself what fits into its buffer
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever left needs no answer
}

func refuse(w http.ResponseWriter, status int, message string) {
	text, _ := json.Marshal(message)
	answer(w, status, []byte(`{"code":`+strconv.Itoa(status)+`,"message":`+string(text)+"}\n"))
}

const bodyMax = 256 << 20

var errTooLarge = errors.New("the request's body is too large")

// scratch is memory that goes from request to request.
type scratch struct {
	in, out []byte
}

const scratchMax = 1 << 20 // what is larger was needed once

var scratches = sync.Pool{New: func() interface{} {
	return &scratch{in: make([]byte, 0, 4096), out: make([]byte, 0, 4096)}
}}

func newScratch() *scratch {
	return scratches.Get().(*scratch)
}

func (m *scratch) free() {
	if cap(m.in) <= scratchMax && cap(m.out) <= scratchMax {
		scratches.Put(m)
	}
}

// read returns the request's body, which lies in the scratch memory.
func (m *scratch) read(r *http.Request) ([]byte, error) {
	if r.ContentLength > bodyMax {
		return nil, errTooLarge
	}
	if r.ContentLength >= 0 {
		size := int(r.ContentLength)
		if cap(m.in) < size {
			m.in = make([]byte, size)
		}
		m.in = m.in[:size]
		_, err := io.ReadFull(r.Body, m.in)
		return m.in, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyMax+1))
	if err == nil && len(body) > bodyMax {
		err = errTooLarge
	}
	m.in = body
	return body, err
}

// readOrRefuse is read; where it fails, the answer has been given.
func (m *scratch) readOrRefuse(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := m.read(r)
	switch {
	case errors.Is(err, errTooLarge):
		refuse(w, 413, err.Error())
	case err != nil:
		refuse(w, 400, "the body cannot be read: "+err.Error())
	}
	return body, err == nil
}

// ---- Waiting ----

// pause is the time in which a run prints nothing.
type pause struct {
	until   time.Time
	stopped <-chan struct{} // nil: nobody can
	beat    []byte          // is sent every so often, as a sign of life
	every   time.Duration
}

type awaited int

const (
	awaitedTime awaited = iota
	awaitedStop
	awaitedClient // it left
)

// wait sends what was written so far and lets time pass. A sandbox that goes meanwhile takes the connection with it.
func (s *server) wait(w http.ResponseWriter, r *http.Request, box *sandbox, p pause) awaited {
	w.(http.Flusher).Flush()
	for {
		next := time.Until(p.until)
		isLast := next <= p.every
		if !isLast {
			next = p.every
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
			if isLast {
				return awaitedTime
			}
			_, _ = w.Write(p.beat)
			w.(http.Flusher).Flush()
		case <-p.stopped:
			timer.Stop()
			return awaitedStop
		case <-box.gone:
			timer.Stop()
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			timer.Stop()
			s.stats.clientGone.Add(1)
			return awaitedClient
		}
	}
}
