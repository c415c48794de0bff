package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
)

// gauge is a number of things that are there, and the most there were.
type gauge struct {
	now, max atomic.Int64
}

func (g *gauge) add(n int64) {
	now := g.now.Add(n)
	for {
		max := g.max.Load()
		if now <= max || g.max.CompareAndSwap(max, now) {
			return
		}
	}
}

func (g *gauge) reset() {
	g.max.Store(g.now.Load())
}

type stats struct {
	creates, create429, runs, processStarts, deletes, delete404, timeouts, lists atomic.Int64
	expired, clientGone, connections, requests, h2Requests                       atomic.Int64
	live, running, connectionsOpen                                               gauge
	cpuBeforeUs                                                                  atomic.Int64 // before the reset
}

func (s *stats) onConnection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
		s.connectionsOpen.add(1)
	case http.StateClosed, http.StateHijacked:
		s.connectionsOpen.add(-1)
	}
}

func cpuUs() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return (usage.Utime.Nano() + usage.Stime.Nano()) / 1000
}

func (s *stats) reset() {
	for _, counter := range []*atomic.Int64{&s.creates, &s.create429, &s.runs, &s.processStarts, &s.deletes,
		&s.delete404, &s.timeouts, &s.lists, &s.expired, &s.clientGone, &s.connections, &s.requests, &s.h2Requests} {
		counter.Store(0)
	}
	for _, g := range []*gauge{&s.live, &s.running, &s.connectionsOpen} {
		g.reset()
	}
	s.cpuBeforeUs.Store(cpuUs())
}

func (s *stats) json() []byte {
	out := []byte{'{'}
	add := func(name string, value int64) {
		out = append(out, fmt.Sprintf("%q:%d,", name, value)...)
	}
	add("creates", s.creates.Load())
	add("create_429", s.create429.Load())
	add("runs", s.runs.Load())
	add("process_starts", s.processStarts.Load())
	add("deletes", s.deletes.Load())
	add("delete_404", s.delete404.Load())
	add("timeouts", s.timeouts.Load())
	add("lists", s.lists.Load())
	add("expired", s.expired.Load())
	add("live", s.live.now.Load())
	add("live_max", s.live.max.Load())
	add("running", s.running.now.Load())
	add("running_max", s.running.max.Load())
	add("connections", s.connections.Load())
	add("connections_open", s.connectionsOpen.now.Load())
	add("connections_open_max", s.connectionsOpen.max.Load())
	add("requests", s.requests.Load())
	add("h2_requests", s.h2Requests.Load())
	add("client_gone", s.clientGone.Load())
	cpuS := float64(cpuUs()-s.cpuBeforeUs.Load()) / 1e6
	return append(out, fmt.Sprintf("\"cpu_s\":%.6f}\n", cpuS)...)
}

// ---- /__stats, /__reset, /__set: of the measurement, not of E2B, and not counted ----

func (s *server) onOwn(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /__stats":
		answer(w, 200, s.stats.json())
	case "POST /__reset":
		s.stats.reset()
		w.WriteHeader(204)
	case "POST /__set":
		s.onSet(w, r)
	default:
		refuse(w, 404, "there are GET /__stats, POST /__reset and POST /__set")
	}
}

func (s *server) onSet(w http.ResponseWriter, r *http.Request) {
	values := map[string]*int64{}
	for name, texts := range r.URL.Query() {
		value, err := strconv.ParseInt(texts[len(texts)-1], 10, 64)
		if err != nil {
			refuse(w, 400, name+" is not a number")
			return
		}
		values[name] = &value
	}
	if err := s.settings.setAll(values); err != nil {
		refuse(w, 400, err.Error())
		return
	}
	w.WriteHeader(204)
}
