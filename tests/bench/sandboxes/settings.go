package main

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"
)

// settings are what /__set may change while requests read them.
type settings struct {
	createMs, runMs, outputBytes, maxLive atomic.Int64
}

const settingMax = 1 << 40 // of milliseconds or bytes: whatever is computed from it stays a number

func (s *settings) find(name string) *atomic.Int64 {
	switch name {
	case "create_ms":
		return &s.createMs
	case "run_ms":
		return &s.runMs
	case "output_bytes":
		return &s.outputBytes
	case "max_live":
		return &s.maxLive
	}
	return nil
}

// setAll sets all of the values or none.
func (s *settings) setAll(values map[string]*int64) error {
	for name, value := range values {
		if s.find(name) == nil {
			return fmt.Errorf("there is no setting %q", name)
		}
		if *value < 0 || *value > settingMax {
			return fmt.Errorf("%s is not from 0 to %d", name, int64(settingMax))
		}
	}
	for name, value := range values {
		s.find(name).Store(*value)
	}
	return nil
}

// wish is what a run shall do.
type wish struct {
	runMs, outputBytes int64
}

func (s *settings) wish() wish {
	return wish{runMs: s.runMs.Load(), outputBytes: s.outputBytes.Load()}
}

func (w wish) duration() time.Duration {
	return time.Duration(w.runMs) * time.Millisecond
}

var wishMark = []byte("# bench ")

// read takes over what the first line "# bench run_ms=... output_bytes=..." of the text says; the text may be JSON, in
// which the line looks the same.
func (w *wish) read(text []byte) (found bool) {
	at := bytes.Index(text, wishMark)
	if at < 0 {
		return false
	}
	text = text[at+len(wishMark):]
	for {
		text = bytes.TrimLeft(text, " ")
		name, rest, isPair := cutName(text)
		if !isPair {
			return true
		}
		value, rest := cutNumber(rest)
		switch string(name) {
		case "run_ms":
			w.runMs = value
		case "output_bytes":
			w.outputBytes = value
		default:
			return true
		}
		text = rest
	}
}

// cutName is bytes.Cut at "=", but looks no further than the name.
func cutName(text []byte) (name, rest []byte, isPair bool) {
	i := 0
	for i < len(text) && (text[i] == '_' || text[i] >= 'a' && text[i] <= 'z') {
		i++
	}
	if i == 0 || i == len(text) || text[i] != '=' {
		return nil, text, false
	}
	return text[:i], text[i+1:], true
}

func cutNumber(text []byte) (value int64, rest []byte) {
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		if value < settingMax {
			value = value*10 + int64(text[i]-'0')
		}
		i++
	}
	return value, text[i:]
}
