package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type account struct {
	*testing.T
	url    string
	client *http.Client
}

func newAccount(t *testing.T) *account {
	s := newServer()
	s.settings.outputBytes.Store(16)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return &account{T: t, url: web.URL, client: web.Client()}
}

// box is a sandbox's id. "": the control plane.
type box string

func (a *account) request(id box, port, method, path, body string, headers ...string) *http.Request {
	a.Helper()
	r, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	r.Header.Set("X-API-KEY", "e2b_test")
	if id != "" {
		r.Header.Set("E2b-Sandbox-Id", string(id))
		r.Header.Set("E2b-Sandbox-Port", port)
		r.Header.Set("X-Access-Token", "ea_"+string(id))
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (a *account) send(r *http.Request) (*http.Response, string) {
	a.Helper()
	response, err := a.client.Do(r)
	if err != nil {
		a.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		a.Fatal(err)
	}
	return response, string(body)
}

func (a *account) api(status int, method, path, body string) (http.Header, string) {
	a.Helper()
	response, text := a.send(a.request("", "", method, path, body))
	if response.StatusCode != status {
		a.Fatalf("%s %s: %d %s, not %d", method, path, response.StatusCode, text, status)
	}
	return response.Header, text
}

func (a *account) create(body string) box {
	a.Helper()
	_, text := a.api(201, "POST", "/v2/sandboxes", body)
	var answer struct{ SandboxID, EnvdAccessToken string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		a.Fatal(err)
	}
	if answer.EnvdAccessToken != "ea_"+answer.SandboxID || len(answer.SandboxID) != 21 {
		a.Fatal(text)
	}
	return box(answer.SandboxID)
}

func (a *account) newBox() box {
	a.Helper()
	return a.create(`{"templateID":"base"}`)
}

func (a *account) stats() map[string]float64 {
	a.Helper()
	_, text := a.api(200, "GET", "/__stats", "")
	values := map[string]float64{}
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		a.Fatal(err, text)
	}
	return values
}

func (a *account) until(what string, condition func() bool) {
	a.Helper()
	for end := time.Now().Add(5 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			a.Fatal("not within 5 s: " + what)
		}
	}
}

// ---- Control plane ----

func TestSandboxLives(t *testing.T) {
	a := newAccount(t)
	id := a.newBox()
	a.api(200, "GET", "/sandboxes/"+string(id)+"-clientid", "")
	a.api(204, "POST", "/sandboxes/"+string(id)+"/timeout", `{"timeout":90}`)
	a.api(204, "DELETE", "/sandboxes/"+string(id), "")
	a.api(404, "DELETE", "/sandboxes/"+string(id), "")
	a.api(404, "GET", "/sandboxes/"+string(id), "")
	a.api(404, "POST", "/sandboxes/"+string(id)+"/timeout", `{"timeout":90}`)
	got := a.stats()
	for name, want := range map[string]float64{"creates": 1, "deletes": 1, "delete_404": 1, "timeouts": 1, "live": 0,
		"live_max": 1} {
		if got[name] != want {
			t.Errorf("%s is %v, not %v", name, got[name], want)
		}
	}
}

func TestSandboxEndsByItself(t *testing.T) {
	a := newAccount(t)
	first, second := a.newBox(), a.newBox()
	a.api(204, "POST", "/sandboxes/"+string(first)+"/timeout", `{"timeout":0}`)
	a.until("the sandbox is gone", func() bool { return a.stats()["live"] == 1 })
	a.api(404, "GET", "/sandboxes/"+string(first), "")
	a.api(200, "GET", "/sandboxes/"+string(second), "")
}

func TestCreateIsRefused(t *testing.T) {
	a := newAccount(t)
	for _, body := range []string{`{`, `{}`, `{"templateID":"base","timeout":0}`, `{"templateID":"base","timeout":100000}`,
		`{"templateID":"base","metadata":[]}`} {
		a.api(400, "POST", "/v2/sandboxes", body)
	}
	r := a.request("", "", "POST", "/v2/sandboxes", `{"templateID":"base"}`)
	r.Header.Del("X-API-KEY")
	if response, text := a.send(r); response.StatusCode != 401 || !strings.Contains(text, "authorization header is missing") {
		t.Error(response.Status, text)
	}
}

func TestTooManySandboxes(t *testing.T) {
	a := newAccount(t)
	a.api(204, "POST", "/__set?max_live=1", "")
	id := a.newBox()
	_, text := a.api(429, "POST", "/sandboxes", `{"templateID":"base"}`)
	if !strings.Contains(text, "you have reached the maximum number of concurrent E2B sandboxes (1).") {
		t.Error(text)
	}
	a.api(204, "DELETE", "/sandboxes/"+string(id), "")
	a.newBox()
}

func (a *account) list(query string) (ids []box, next string) {
	a.Helper()
	header, text := a.api(200, "GET", "/v2/sandboxes?"+query, "")
	var items []struct {
		SandboxID, State, StartedAt, EndAt string
		Metadata                           map[string]string
	}
	if err := json.Unmarshal([]byte(text), &items); err != nil {
		a.Fatal(err, text)
	}
	for _, item := range items {
		if _, err := time.Parse(time.RFC3339, item.EndAt); err != nil || item.State != "running" {
			a.Fatal(err, item)
		}
		ids = append(ids, box(item.SandboxID))
	}
	return ids, header.Get("X-Next-Token")
}

func TestListHasPagesNewestFirst(t *testing.T) {
	a := newAccount(t)
	var all []box
	for i := 0; i < 5; i++ {
		all = append([]box{a.newBox()}, all...)
	}
	first, next := a.list("limit=3")
	second, last := a.list("limit=3&nextToken=" + next)
	if got := append(first, second...); fmt.Sprint(got) != fmt.Sprint(all) || len(first) != 3 || last != "" {
		t.Errorf("%v and %v (%q), not %v", first, second, last, all)
	}
}

func TestListFiltersByMetadata(t *testing.T) {
	a := newAccount(t)
	id := a.create(`{"templateID":"base","metadata":{"job":"a b&c=d","other":"\u00fc"}}`)
	a.create(`{"templateID":"base","metadata":{"job":"x"}}`)
	a.newBox()
	inner := url.Values{"job": {"a b&c=d"}, "other": {"ü"}}.Encode()
	if got, _ := a.list(url.Values{"metadata": {inner}}.Encode()); len(got) != 1 || got[0] != id {
		t.Error(got)
	}
	twice := url.Values{"job": {url.PathEscape("a b&c=d")}}.Encode() // as E2B's SDK does
	if got, _ := a.list(url.Values{"metadata": {twice}}.Encode()); len(got) != 1 || got[0] != id {
		t.Error(got)
	}
	if got, _ := a.list("state=paused"); len(got) != 0 {
		t.Error(got)
	}
}

// ---- Execute ----

type line struct {
	Type, Text     string
	ExecutionCount int `json:"execution_count"`
}

func readLines(t *testing.T, text string) (lines []line, output string) {
	t.Helper()
	for _, one := range strings.SplitAfter(text, "\n") {
		if one == "" {
			continue
		}
		var l line
		if err := json.Unmarshal([]byte(one), &l); err != nil {
			t.Fatal(err, one)
		}
		lines = append(lines, l)
		output += l.Text
	}
	return lines, output
}

func TestExecutePrintsWhatIsAskedFor(t *testing.T) {
	a := newAccount(t)
	id := a.newBox()
	for _, size := range []int{0, 1, 63, 64, 65, blockBytes - 1, blockBytes, blockBytes + 1, 40*blockBytes + 7} {
		code := fmt.Sprintf(`{"code":"# bench output_bytes=%d\nprint()"}`, size)
		response, text := a.send(a.request(id, interpreterPort, "POST", "/execute", code))
		lines, output := readLines(t, text)
		if len(output) != size || lines[0].Type != "number_of_executions" || lines[len(lines)-1].Type != "end_of_execution" {
			t.Errorf("%d bytes: %d, %v", size, len(output), lines[0])
		}
		if output != string(bytes.Repeat(plainBlock, 41)[:size]) {
			t.Errorf("%d bytes are not those", size)
		}
		if response.ContentLength != -1 || response.Header["Content-Type"] != nil {
			t.Errorf("%d bytes: %v", size, response.Header)
		}
	}
}

func TestExecuteTakesItsTime(t *testing.T) {
	a := newAccount(t)
	start := time.Now()
	_, text := a.send(a.request(a.newBox(), interpreterPort, "POST", "/execute", `{"code":"1 # bench run_ms=30"}`))
	if _, output := readLines(t, text); len(output) != 16 || time.Since(start) < 30*time.Millisecond {
		t.Error(time.Since(start), text)
	}
}

func TestExecuteEndsWithItsClient(t *testing.T) {
	a := newAccount(t)
	ctx, leave := context.WithCancel(context.Background())
	r := a.request(a.newBox(), interpreterPort, "POST", "/execute", `{"code":"1 # bench run_ms=60000"}`).WithContext(ctx)
	response, err := a.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if a.stats()["running"] != 1 {
		t.Error("it does not run")
	}
	leave()
	a.until("the run is given up", func() bool {
		got := a.stats()
		return got["running"] == 0 && got["client_gone"] == 1
	})
}

func TestExecuteIsCutByTheSandboxsEnd(t *testing.T) {
	a := newAccount(t)
	id := a.newBox()
	r := a.request(id, interpreterPort, "POST", "/execute", `{"code":"1 # bench run_ms=60000"}`)
	response, err := a.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	a.api(204, "DELETE", "/sandboxes/"+string(id), "")
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("the answer came to an end")
	}
}

func TestDoor(t *testing.T) {
	a := newAccount(t)
	id := a.newBox()
	for _, c := range []struct {
		id           box
		port, method string
		path, token  string
		status       int
		word         string
	}{
		{id, interpreterPort, "GET", "/health", "", 200, `"OK"`},
		{id, envdPort, "GET", "/health", "", 204, ""},
		{id, "8000", "GET", "/health", "", 502, "port is not open"},
		{"inone", envdPort, "GET", "/health", "", 502, "The sandbox was not found"},
		{"inone", interpreterPort, "POST", "/execute", "", 502, "The sandbox was not found"},
		{id, interpreterPort, "POST", "/execute", "", 422, "Field required"},
		{id, envdPort, "POST", "/execute", "", 404, ""},
		{id, envdPort, "POST", "/process.Process/List", "wrong", 401, "unauthorized access"},
		{id, envdPort, "POST", "/process.Process/Start", "", 415, ""},
	} {
		r := a.request(c.id, c.port, c.method, c.path, "{}")
		if c.token != "" {
			r.Header.Set("X-Access-Token", c.token)
		}
		if response, text := a.send(r); response.StatusCode != c.status || !strings.Contains(text, c.word) {
			t.Errorf("%v: %s %s", c, response.Status, text)
		}
	}
}

// ---- Processes ----

type heard struct {
	pid           int
	stdout, tail  string // tail: stderr
	exitCode      int
	status, error string
}

func (a *account) listen(id box, call, message string, headers ...string) (h heard) {
	a.Helper()
	headers = append(headers, "Content-Type", "application/connect+json")
	_, body := a.send(a.request(id, envdPort, "POST", "/process.Process/"+call, string(frame(message)), headers...))
	for isEnded := false; !isEnded; {
		if len(body) < 5 {
			a.Fatalf("the stream breaks off: %q", body)
		}
		size := binary.BigEndian.Uint32([]byte(body[1:5]))
		isEnded = body[0] == 2
		h.take(a, body[5:5+size])
		body = body[5+size:]
	}
	return h
}

func (h *heard) take(a *account, message string) {
	a.Helper()
	var m struct {
		Event struct {
			Start struct{ Pid int }
			Data  struct{ Stdout, Stderr string }
			End   struct {
				ExitCode int
				Status   string
			}
		}
		Error struct{ Code string }
	}
	if err := json.Unmarshal([]byte(message), &m); err != nil {
		a.Fatal(err, message)
	}
	stdout, err1 := base64.StdEncoding.DecodeString(m.Event.Data.Stdout)
	stderr, err2 := base64.StdEncoding.DecodeString(m.Event.Data.Stderr)
	if err1 != nil || err2 != nil {
		a.Fatal(message)
	}
	h.pid += m.Event.Start.Pid
	h.stdout += string(stdout)
	h.tail += string(stderr)
	h.exitCode += m.Event.End.ExitCode
	h.status += m.Event.End.Status
	h.error += m.Error.Code
}

func command(args ...string) string {
	text, _ := json.Marshal(map[string]interface{}{"process": map[string]interface{}{"cmd": "/bin/bash", "args": args}})
	return string(text)
}

func TestProcessPrintsAndExits(t *testing.T) {
	a := newAccount(t)
	got := a.listen(a.newBox(), "Start", command("-l", "-c", "true # bench output_bytes=40000"))
	if len(got.stdout) != 40000 || got.pid != firstPid || got.status != "exit status 0" || got.tail != "" || got.error != "" {
		t.Error(len(got.stdout), got.pid, got.status, got.tail, got.error)
	}
}

// As src/worker/step_process.c starts it; the wrapper's own text holds what must not be taken for its words.
func wrapped(record string, limitMs, from, keep int, args ...string) string {
	words := append([]string{"-c", "# ,\"step\",\"x\"\nstep() { echo; }", "step", record, fmt.Sprint(limitMs),
		fmt.Sprint(from), "0", fmt.Sprint(keep), fmt.Sprint(keep), "MARK", "0", "/a \"dir\"", "", "--"}, args...)
	return command(words...)
}

func TestStepReports(t *testing.T) {
	a := newAccount(t)
	for _, c := range []struct {
		name, message string
		size, code    int
		report        string
	}{
		{"plain", wrapped("r1", 1000, 0, 100, "python3", "stop", "x"), 16, 0, "MARK exit 0 1 8388608 0 0 16 0\n"},
		{"cut", wrapped("r2", 1000, 0, 100, "# bench output_bytes=1000"), 200, 0, "MARK exit 0 1 8388608 0 0 1000 0\n"},
		{"from", wrapped("r3", 1000, 150, 100, "# bench output_bytes=1000"), 50, 0, "MARK exit 0 1 8388608 0 0 1000 0\n"},
		{"late", wrapped("r4", 10, 0, 100, "# bench run_ms=60000"), 0, 124, "MARK timeout 0 1 8388608 0 0 0 0\n"},
	} {
		got := a.listen(a.newBox(), "Start", c.message)
		if len(got.stdout) != c.size || got.exitCode != c.code || got.tail != c.report {
			t.Errorf("%s: %d bytes, code %d, %q", c.name, len(got.stdout), got.exitCode, got.tail)
		}
	}
}

func TestStepIsStoppedAndAttachedTo(t *testing.T) {
	a := newAccount(t)
	for why, code := range map[string]int{"cancel": 125, "timeout": 124} {
		id := a.newBox()
		heard := make(chan heard)
		for i := 0; i < 2; i++ {
			go func() { heard <- a.listen(id, "Start", wrapped("r", 90000, 0, 100, "# bench run_ms=60000")) }()
		}
		a.until("both follow", func() bool { return a.stats()["running"] == 2 })
		a.listen(id, "Start", command("-c", "script", "stop", "r", why))
		for i := 0; i < 2; i++ {
			if got := <-heard; got.pid != firstPid || got.exitCode != code || !strings.HasPrefix(got.tail, "MARK "+why+" 0 ") {
				t.Error(got)
			}
		}
		if got := a.listen(id, "Connect", `{"process":{"pid":7}}`); got.exitCode != code || got.stdout != "" {
			t.Error("of a step that was stopped, once more:", got)
		}
	}
}

func TestProcessIsSignalled(t *testing.T) {
	a := newAccount(t)
	id := a.newBox()
	done := make(chan heard)
	go func() { done <- a.listen(id, "Start", command("-c", "# bench run_ms=60000")) }()
	a.until("it runs", func() bool { return a.stats()["running"] == 1 })
	_, list := a.send(a.request(id, envdPort, "POST", "/process.Process/List", "{}"))
	if list != `{"processes":[{"config":{"cmd":"/bin/bash"}, "pid":7}]}` {
		t.Error(list)
	}
	signal := `{"process":{"pid":7},"signal":"SIGNAL_SIGKILL"}`
	for _, status := range []int{200, 404} {
		response, text := a.send(a.request(id, envdPort, "POST", "/process.Process/SendSignal", signal))
		if response.StatusCode != status {
			t.Error(response.Status, text)
		}
	}
	if got := <-done; got.exitCode != -1 || got.status != "signal: killed" {
		t.Error(got)
	}
	if got := a.listen(id, "Connect", `{"process":{"pid":7}}`); got.status != "signal: killed" || got.stdout != "" {
		t.Error(got)
	}
	if got := a.listen(id, "Connect", `{"process":{"pid":8}}`); got.error != "not_found" {
		t.Error(got)
	}
}

func TestProcessHasADeadline(t *testing.T) {
	a := newAccount(t)
	got := a.listen(a.newBox(), "Start", command("-c", "# bench run_ms=60000"), "Connect-Timeout-Ms", "20")
	if got.error != "deadline_exceeded" || got.status != "" {
		t.Error(got)
	}
}

// ---- Files ----

func TestFileIsKeptAndSaysWhatToDo(t *testing.T) {
	a := newAccount(t)
	id := a.newBox()
	code := "print()  # bench output_bytes=33\n"
	_, text := a.send(a.request(id, envdPort, "POST", "/files?path=.e2b-worker/code/main.py", code))
	if text != `[{"name":"main.py","path":"/home/user/.e2b-worker/code/main.py","type":"file"}]` {
		t.Error(text)
	}
	if _, text := a.send(a.request(id, envdPort, "GET", "/files?path=/home/user/.e2b-worker/code/main.py", "")); text != code {
		t.Error(text)
	}
	if got := a.listen(id, "Start", wrapped("r", 1000, 0, 100, "python3")); len(got.stdout) != 33 {
		t.Error(got)
	}
	if response, text := a.send(a.request(id, envdPort, "GET", "/files?path=none", "")); response.StatusCode != 404 {
		t.Error(response.Status, text)
	}
}

func TestFilesInOneRequest(t *testing.T) {
	a := newAccount(t)
	id := a.newBox()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, name := range []string{"dir/one", "/two"} {
		disposition := `form-data; name="file"; filename="` + name + `"`
		part, _ := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}})
		fmt.Fprint(part, name)
	}
	form.Close()
	r := a.request(id, envdPort, "POST", "/files", body.String(), "Content-Type", form.FormDataContentType())
	if _, text := a.send(r); !strings.Contains(text, "/home/user/dir/one") || !strings.Contains(text, `"/two"`) {
		t.Error(text)
	}
	if _, text := a.send(a.request(id, envdPort, "GET", "/files?path=dir/one", "")); text != "dir/one" {
		t.Error(text)
	}
}

// ---- The measurement's own ----

func TestSettingsAndReset(t *testing.T) {
	a := newAccount(t)
	a.api(400, "POST", "/__set?nothing=1", "")
	a.api(400, "POST", "/__set?run_ms=-1", "")
	a.api(204, "POST", "/__set?output_bytes=5&create_ms=20", "")
	start := time.Now()
	id := a.newBox()
	if time.Since(start) < 20*time.Millisecond {
		t.Error("the create took no time")
	}
	_, text := a.send(a.request(id, interpreterPort, "POST", "/execute", `{"code":"1"}`))
	if _, output := readLines(t, text); len(output) != 5 {
		t.Error(text)
	}
	a.newBox()
	a.api(204, "DELETE", "/sandboxes/"+string(id), "")
	a.api(204, "POST", "/__reset", "")
	got := a.stats()
	if got["creates"] != 0 || got["requests"] != 0 || got["live"] != 1 || got["live_max"] != 1 {
		t.Error(got)
	}
}

func TestCertificateIsTrustedByItsAuthority(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	certificate, err := newCertificate(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"127.0.0.1", "localhost"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Error(name, err)
		}
	}
}

func TestHTTP2(t *testing.T) {
	s := newServer()
	web := httptest.NewUnstartedServer(s)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	a := &account{T: t, url: web.URL, client: web.Client()}
	id := a.newBox()
	code := `{"code":"# bench run_ms=5 output_bytes=100000"}`
	response, text := a.send(a.request(id, interpreterPort, "POST", "/execute", code))
	if _, output := readLines(t, text); len(output) != 100000 || response.ProtoMajor != 2 || a.stats()["h2_requests"] < 2 {
		t.Error(len(output), response.Proto, a.stats())
	}
}

func TestOnlyLoopback(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		if listener, err := listenLoopback(address); err == nil {
			listener.Close()
			t.Errorf("listens on %s", address)
		}
	}
}

// BenchmarkJob is what the answers of one job cost without net/http.
func BenchmarkJob(b *testing.B) {
	s := newServer()
	s.settings.outputBytes.Store(16)
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/v2/sandboxes", strings.NewReader(
			`{"templateID":"base","timeout":60,"metadata":{"svc":"e2b-worker","permit":"p","job":"j","tenant":"t"}}`))
		r.Header["X-Api-Key"] = []string{"k"}
		s.ServeHTTP(w, r)
		id := w.Body.String()[strings.Index(w.Body.String(), `ID":"i`)+5:][:21]
		run := httptest.NewRequest("POST", "/execute", strings.NewReader(`{"code":"print('job')"}`))
		run.Header["E2b-Sandbox-Id"], run.Header["E2b-Sandbox-Port"] = []string{id}, []string{interpreterPort}
		s.ServeHTTP(httptest.NewRecorder(), run)
		end := httptest.NewRequest("DELETE", "/sandboxes/"+id, nil)
		end.Header["X-Api-Key"] = []string{"k"}
		s.ServeHTTP(httptest.NewRecorder(), end)
	}
}
