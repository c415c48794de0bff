package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	lifeMaxS = 24 * 3600
	pageMax  = 100
	// All sandboxes are of one size, and of a version that needs none of a client's crutches.
	sizeFields = `"cpuCount":2,"memoryMB":1024,"diskSizeMB":1024,"state":"running","envdVersion":"0.6.13"`
	timeFormat = "2006-01-02T15:04:05.000Z"
)

func isKnown(w http.ResponseWriter, r *http.Request) bool {
	if header(r, "X-Api-Key") == "" {
		refuse(w, 401, "authorization header is missing")
		return false
	}
	return true
}

func (s *server) onSandboxes(w http.ResponseWriter, r *http.Request) {
	switch {
	case !isKnown(w, r):
	case r.Method == "POST":
		s.onCreate(w, r)
	case r.Method == "GET" && r.URL.Path == "/v2/sandboxes":
		s.onList(w, r)
	default:
		refuse(w, 405, "method not allowed")
	}
}

// onSandbox: rest is "<id>" or "<id>/<what>".
func (s *server) onSandbox(w http.ResponseWriter, r *http.Request, rest string) {
	if !isKnown(w, r) {
		return
	}
	id, what := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		id, what = rest[:i], rest[i:]
	}
	box := s.store.find(id)
	switch r.Method + what {
	case "DELETE":
		s.onDelete(w, id, box)
	case "GET":
		s.onInspect(w, id, box)
	case "POST/timeout":
		s.onTimeout(w, r, id, box)
	default:
		refuse(w, 405, "method not allowed")
	}
}

func refuseUnknown(w http.ResponseWriter, id string) {
	refuse(w, 404, fmt.Sprintf("Sandbox %q doesn't exist or you don't have access to it", id))
}

// ---- create ----

type createRequest struct {
	TemplateID json.RawMessage `json:"templateID"`
	Timeout    *int64          `json:"timeout"`
	Metadata   json.RawMessage `json:"metadata"`
}

func (c *createRequest) mistake() string {
	switch {
	case len(c.TemplateID) < 3 || c.TemplateID[0] != '"':
		return "validation error: templateID is required"
	case len(c.Metadata) > 0 && c.Metadata[0] != '{' && c.Metadata[0] != 'n':
		return "validation error: metadata is no object"
	case c.Timeout != nil && *c.Timeout <= 0:
		return "Timeout must be greater than 0"
	case c.Timeout != nil && *c.Timeout > lifeMaxS:
		return "Timeout cannot be greater than 24 hours"
	}
	return ""
}

func (c *createRequest) life(isV1 bool) time.Duration {
	if c.Timeout != nil {
		return time.Duration(*c.Timeout) * time.Second
	}
	if isV1 {
		return 15 * time.Second
	}
	return 300 * time.Second
}

func (s *server) onCreate(w http.ResponseWriter, r *http.Request) {
	memory := newScratch()
	defer memory.free()
	body, ok := memory.readOrRefuse(w, r)
	if !ok {
		return
	}
	var request createRequest
	if err := json.Unmarshal(body, &request); err != nil {
		refuse(w, 400, "validation error: "+err.Error())
		return
	}
	if mistake := request.mistake(); mistake != "" {
		refuse(w, 400, mistake)
		return
	}
	max := s.settings.maxLive.Load()
	if !s.store.take(max) {
		s.stats.create429.Add(1)
		refuse(w, 429, fmt.Sprintf("you have reached the maximum number of concurrent E2B sandboxes (%d). If you need "+
			"more, please contact us at 'https://e2b.dev/docs/getting-help'", max))
		return
	}
	s.stats.creates.Add(1)
	// As with E2B the sandbox comes even when nobody waits for it any more.
	if ms := s.settings.createMs.Load(); ms > 0 {
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	box := &sandbox{template: request.TemplateID}
	if len(request.Metadata) > 0 && request.Metadata[0] == '{' {
		box.metadata = request.Metadata
	}
	s.store.add(box, request.life(r.URL.Path == "/sandboxes"))
	memory.out = box.appendHandle(memory.out[:0])
	answer(w, 201, append(memory.out, '}'))
}

// appendHandle leaves the object open.
func (b *sandbox) appendHandle(out []byte) []byte {
	out = append(append(out, `{"templateID":`...), b.template...)
	out = append(append(out, `,"sandboxID":"`...), b.id...)
	out = append(out, `","clientID":"6532622b","envdVersion":"0.6.13","domain":null,"envdAccessToken":"`...)
	return append(append(out, b.token...), '"')
}

// ---- life ----

func (s *server) onDelete(w http.ResponseWriter, id string, box *sandbox) {
	if box == nil || !s.store.remove(box) {
		s.stats.delete404.Add(1)
		refuseUnknown(w, id)
		return
	}
	s.stats.deletes.Add(1)
	w.WriteHeader(204)
}

func (s *server) onTimeout(w http.ResponseWriter, r *http.Request, id string, box *sandbox) {
	var request struct {
		Timeout *int64 `json:"timeout"`
	}
	err := json.NewDecoder(r.Body).Decode(&request)
	switch {
	case err != nil || request.Timeout == nil || *request.Timeout < 0:
		refuse(w, 400, "validation error: timeout is required")
	case *request.Timeout > lifeMaxS:
		refuse(w, 400, "Timeout cannot be greater than 24 hours")
	case box == nil:
		refuseUnknown(w, id)
	default:
		s.stats.timeouts.Add(1)
		s.store.keep(box, time.Duration(*request.Timeout)*time.Second)
		w.WriteHeader(204)
	}
}

// ---- looking ----

func (s *server) appendDetails(out []byte, box *sandbox) []byte {
	out = append(out, `,`+sizeFields+`,"startedAt":"`...)
	out = box.started.UTC().AppendFormat(out, timeFormat)
	out = append(out, `","endAt":"`...)
	out = s.store.endOf(box).UTC().AppendFormat(out, timeFormat)
	out = append(out, '"')
	if box.metadata != nil {
		out = append(append(out, `,"metadata":`...), box.metadata...)
	}
	return out
}

func (s *server) onInspect(w http.ResponseWriter, id string, box *sandbox) {
	if box == nil {
		refuseUnknown(w, id)
		return
	}
	body := s.appendDetails(box.appendHandle(nil), box)
	answer(w, 200, append(body, '}'))
}

// filter is the question of a list.
type filter struct {
	metadata url.Values
	template string
	limit    int
	before   uint64 // number; 0: the newest is wanted first
	isEmpty  bool   // what is asked for is never here
}

func readFilter(query url.Values) (f filter, err error) {
	f.limit = pageMax
	if text := query.Get("limit"); text != "" {
		f.limit, err = strconv.Atoi(text)
		if err != nil || f.limit < 1 || f.limit > pageMax {
			return f, fmt.Errorf("limit is not from 1 to %d", pageMax)
		}
	}
	if text := query.Get("nextToken"); text != "" {
		if f.before, err = strconv.ParseUint(text, 36, 64); err != nil {
			return f, fmt.Errorf("invalid next token")
		}
	}
	if f.metadata, err = url.ParseQuery(query.Get("metadata")); err != nil {
		return f, fmt.Errorf("metadata is no query: %v", err)
	}
	if text := query.Get("template"); text != "" {
		quoted, _ := json.Marshal(text)
		f.template = string(quoted)
	}
	if states := query["state"]; len(states) > 0 {
		f.isEmpty = !strings.Contains(","+strings.Join(states, ",")+",", ",running,") // none is ever paused
	}
	return f, nil
}

func (f *filter) has(box *sandbox) bool {
	if f.isEmpty || f.template != "" && f.template != string(box.template) {
		return false
	}
	if len(f.metadata) == 0 {
		return true
	}
	var pairs map[string]string
	if box.metadata == nil || json.Unmarshal(box.metadata, &pairs) != nil {
		return false
	}
	for name, values := range f.metadata {
		if value, ok := pairs[unquoted(name)]; !ok || value != values[0] && value != unquoted(values[0]) {
			return false
		}
	}
	return true
}

// unquoted: E2B's own SDK encodes names and values once more than E2B's description of its API says.
func unquoted(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

func (s *server) onList(w http.ResponseWriter, r *http.Request) {
	f, err := readFilter(r.URL.Query())
	if err != nil {
		refuse(w, 400, err.Error())
		return
	}
	s.stats.lists.Add(1)
	boxes := s.store.all()
	sort.Slice(boxes, func(i, j int) bool { return boxes[i].number > boxes[j].number })
	total, count := 0, 0
	var last *sandbox
	body := []byte{'['}
	for _, box := range boxes {
		if !f.has(box) {
			continue
		}
		total++
		if f.before > 0 && box.number >= f.before {
			continue
		}
		count++
		if count > f.limit {
			continue
		}
		if last = box; count > 1 {
			body = append(body, ',')
		}
		body = append(s.appendListed(body, box), '}')
	}
	w.Header().Set("X-Total-Running", strconv.Itoa(total))
	if count > f.limit {
		w.Header().Set("X-Next-Token", strconv.FormatUint(last.number, 36))
	}
	answer(w, 200, append(body, ']'))
}

// appendListed leaves the object open. What opens the sandbox's door is not in a list.
func (s *server) appendListed(out []byte, box *sandbox) []byte {
	out = append(append(out, `{"templateID":`...), box.template...)
	out = append(append(out, `,"sandboxID":"`...), box.id...)
	out = append(out, `","clientID":"6532622b"`...)
	return s.appendDetails(out, box)
}
