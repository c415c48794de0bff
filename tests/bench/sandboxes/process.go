package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	firstPid    = 7
	processBeat = 90 * time.Second // without a word of the client
)

var (
	processKeepalive = frame(`{"event":{"keepalive":{}}}`)
	streamEnd        = frameOf(2, `{}`)
	startField       = []byte(`"cmd"`)
)

// process is one that would run: there is nothing but the time at which it ends.
type process struct {
	pid    int
	record string // of a step; "": of none
	wish   wish
	until  time.Time
	isLate bool // at its limit, not by itself

	// The sandbox's mutex, until stopped is closed.
	stopped chan struct{} // nil: it is over at once
	signal  string        // of the client, as Go names it; "": none. It ends a step's wrapper, too: nobody reports
	why     string        // a step was stopped, as its report says it: "timeout", "cancel"; "": it was not
}

// ---- frames ----

func frame(text string) []byte {
	return frameOf(0, text)
}

func frameOf(flags byte, text string) []byte {
	out := append([]byte{flags, 0, 0, 0, 0}, text...)
	setFrameLength(out)
	return out
}

func setFrameLength(frame []byte) {
	binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-5))
}

// readFrame returns the message of a request that is one frame.
func readFrame(w http.ResponseWriter, r *http.Request, memory *scratch) ([]byte, bool) {
	if !strings.HasPrefix(header(r, "Content-Type"), typeConnect[0]) {
		w.Header()["Accept-Post"] = typeConnect
		w.WriteHeader(415)
		return nil, false
	}
	body, ok := memory.readOrRefuse(w, r)
	if !ok {
		return nil, false
	}
	beginStream(w, typeConnect)
	if len(body) < 5 || uint64(binary.BigEndian.Uint32(body[1:])) > uint64(len(body)-5) {
		refuseStream(w, "invalid_argument", "protocol error: incomplete envelope")
		return nil, false
	}
	return body[5 : 5+binary.BigEndian.Uint32(body[1:])], true
}

// refuseStream: of a stream the status says nothing, its last frame does.
func refuseStream(w http.ResponseWriter, code, message string) {
	text, _ := json.Marshal(message)
	_, _ = w.Write(frameOf(2, `{"error":{"code":"`+code+`","message":`+string(text)+`}}`))
}

// ---- Start and Connect ----

func (s *server) onProcessStart(w http.ResponseWriter, r *http.Request, box *sandbox) {
	memory := newScratch()
	defer memory.free()
	request, ok := readFrame(w, r, memory)
	if !ok {
		return
	}
	if !bytes.Contains(request, startField) {
		refuseStream(w, "invalid_argument", "process.cmd is empty")
		return
	}
	s.stats.processStarts.Add(1)
	st, program := readStep(request)
	if words := findWords(request, stopWord); st == nil && words != nil {
		record, rest := cutWord(words)
		why, _ := cutWord(rest)
		box.stopStep(string(record), string(why))
		s.follow(w, r, box, box.start(nil, wish{}), nil, memory)
		return
	}
	s.follow(w, r, box, box.start(st, s.wishOf(box, program)), st, memory)
}

// wishOf: the process's own arguments say it, else the files that were put there for it, else the settings.
func (s *server) wishOf(box *sandbox, program []byte) wish {
	wanted := s.settings.wish()
	if wanted.read(program) {
		return wanted
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	if box.wish != nil {
		return *box.wish
	}
	return wanted
}

// start returns the step's process where it was started before.
func (b *sandbox) start(st *step, wanted wish) *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &process{wish: wanted, pid: firstPid + len(b.processes)}
	if st != nil {
		for _, earlier := range b.processes {
			if earlier.record == st.record {
				return earlier
			}
		}
		p.record = st.record
		if p.isLate = wanted.runMs > st.limitMs; p.isLate {
			p.wish = wish{runMs: st.limitMs}
		}
	}
	if p.wish.runMs > 0 {
		p.until = time.Now().Add(p.wish.duration())
		p.stopped = make(chan struct{})
	}
	b.processes = append(b.processes, p)
	return p
}

func (s *server) onProcessConnect(w http.ResponseWriter, r *http.Request, box *sandbox) {
	memory := newScratch()
	defer memory.free()
	request, ok := readFrame(w, r, memory)
	if !ok {
		return
	}
	p, err := box.selected(request)
	if err != nil {
		refuseStream(w, "not_found", err.Error())
		return
	}
	if !p.isRunning() { // its output was for those who listened
		over := &process{pid: p.pid, isLate: p.isLate}
		over.signal, over.why = box.endOf(p)
		p = over
	}
	s.follow(w, r, box, p, nil, memory)
}

// follow tells the process's life from here on. st: nil: of a process that is no step.
func (s *server) follow(w http.ResponseWriter, r *http.Request, box *sandbox, p *process, st *step, memory *scratch) {
	s.stats.running.add(1)
	defer s.stats.running.add(-1)
	out := appendFrame(memory.out[:0], `{"event":{"start":{"pid":`+strconv.Itoa(p.pid)+`}}}`)
	if p.isRunning() {
		_, _ = w.Write(out)
		out = out[:0]
		if !s.hasEnded(w, r, box, p) {
			return
		}
	}
	signal, why := box.endOf(p)
	printed := p.wish.outputBytes
	if signal != "" || why != "" {
		printed = 0
	}
	size := printed
	if st != nil {
		size = st.unsentBytes(printed)
	}
	out, err := processOutput.write(w, out, size)
	if err != nil {
		return
	}
	how, code := howOf(p, why)
	if signal != "" {
		code = -1
	} else if st != nil {
		out = appendData(out, "stderr", st.report(how, printed))
	}
	out = appendFrame(out, endEvent(code, signal))
	memory.out = append(out, streamEnd...)
	_, _ = w.Write(memory.out)
}

// hasEnded waits for the process's end. Returns: false: the client left, and the process goes on; or the client's time was
// over, which ends the process and the stream, with no word about the process's end.
func (s *server) hasEnded(w http.ResponseWriter, r *http.Request, box *sandbox, p *process) bool {
	deadline := deadlineOf(r)
	until := p.until
	isCut := !deadline.IsZero() && deadline.Before(until)
	if isCut {
		until = deadline
	}
	switch s.wait(w, r, box, pause{until: until, stopped: p.stopped, beat: processKeepalive, every: beatOf(r)}) {
	case awaitedClient:
		return false
	case awaitedTime:
		if isCut {
			box.stop(p, "killed", "")
			refuseStream(w, "deadline_exceeded", "context deadline exceeded")
		}
		return !isCut
	default:
		return true
	}
}

// howOf is a step's end in the words of its report, and the wrapper's exit code.
func howOf(p *process, why string) (how string, code int) {
	switch {
	case why == "timeout" || why == "" && p.isLate:
		return "timeout 0", 124
	case why != "":
		return why + " 0", 125
	}
	return "exit 0", 0
}

// endEvent. As JSON of Protocol Buffers is, it does not name a 0. code -1: the signal ended it.
func endEvent(code int, signal string) string {
	switch {
	case code == 0:
		return `{"event":{"end":{"exited":true, "status":"exit status 0"}}}`
	case code < 0:
		return fmt.Sprintf(`{"event":{"end":{"exitCode":-1, "status":"signal: %[1]s", "error":"signal: %[1]s"}}}`, signal)
	}
	return fmt.Sprintf(`{"event":{"end":{"exitCode":%[1]d, "exited":true, "status":"exit status %[1]d", `+
		`"error":"exit status %[1]d"}}}`, code)
}

func appendFrame(out []byte, text string) []byte {
	at := len(out)
	out = append(append(out, 0, 0, 0, 0, 0), text...)
	setFrameLength(out[at:])
	return out
}

func deadlineOf(r *http.Request) time.Time {
	ms, err := strconv.ParseInt(header(r, "Connect-Timeout-Ms"), 10, 64)
	if err != nil || ms <= 0 || ms > settingMax {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(ms) * time.Millisecond)
}

func beatOf(r *http.Request) time.Duration {
	seconds, err := strconv.Atoi(header(r, "Keepalive-Ping-Interval"))
	if err != nil || seconds <= 0 {
		return processBeat
	}
	return time.Duration(seconds) * time.Second
}

// ---- Stopping and looking ----

func (p *process) isRunning() bool {
	if p.stopped == nil || !time.Now().Before(p.until) {
		return false
	}
	select {
	case <-p.stopped:
		return false
	default:
		return true
	}
}

func (b *sandbox) stop(p *process, signal, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.isRunning() {
		p.signal, p.why = signal, why
		close(p.stopped)
	}
}

func (b *sandbox) endOf(p *process) (signal, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.signal, p.why
}

func (b *sandbox) stopStep(record, why string) {
	b.mu.Lock()
	var found *process
	for _, p := range b.processes {
		if p.record == record {
			found = p
		}
	}
	b.mu.Unlock()
	if found != nil {
		b.stop(found, "", why)
	}
}

type selection struct {
	Process struct {
		Pid int `json:"pid"`
	} `json:"process"`
	Signal json.RawMessage `json:"signal"`
}

func (b *sandbox) selected(request []byte) (*process, error) {
	var wanted selection
	if err := json.Unmarshal(request, &wanted); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := wanted.Process.Pid - firstPid; i >= 0 && i < len(b.processes) {
		return b.processes[i], nil
	}
	return nil, fmt.Errorf("process with pid %d not found", wanted.Process.Pid)
}

func (s *server) onProcessSignal(w http.ResponseWriter, r *http.Request, box *sandbox) {
	memory := newScratch()
	defer memory.free()
	request, ok := memory.readOrRefuse(w, r)
	if !ok {
		return
	}
	p, err := box.selected(request)
	if err == nil && !p.isRunning() {
		err = fmt.Errorf("process with pid %d not found", p.pid)
	}
	if err != nil {
		text, _ := json.Marshal(err.Error())
		answer(w, 404, []byte(`{"code":"not_found","message":`+string(text)+`}`))
		return
	}
	signal := "terminated"
	if bytes.Contains(request, []byte("SIGNAL_SIGKILL")) {
		signal = "killed"
	}
	box.stop(p, signal, "")
	answer(w, 200, []byte(`{}`))
}

func (s *server) onProcessList(w http.ResponseWriter, _ *http.Request, box *sandbox) {
	var items []string
	box.mu.Lock()
	for _, p := range box.processes {
		if p.isRunning() {
			items = append(items, fmt.Sprintf(`{"config":{"cmd":"/bin/bash"}, "pid":%d}`, p.pid))
		}
	}
	box.mu.Unlock()
	if len(items) == 0 {
		answer(w, 200, []byte(`{}`))
		return
	}
	answer(w, 200, []byte(`{"processes":[`+strings.Join(items, ", ")+`]}`))
}
