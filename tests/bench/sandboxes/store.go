package main

import (
	"math/rand"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type sandbox struct {
	id, token  string
	template   []byte // JSON as it came, like the metadata
	metadata   []byte // nil: none
	number     uint64 // in order of creation
	started    time.Time
	ends       time.Time // the store's mutex
	timer      *time.Timer
	gone       chan struct{} // closed when it ends
	executions atomic.Int64

	mu        sync.Mutex // of what follows
	processes []*process
	files     map[string][]byte
	wish      *wish // of the last file that said something; nil: none did
}

// store holds the sandboxes that live. They end by themselves, by a timer each.
type store struct {
	stats   *stats
	mu      sync.Mutex
	boxes   map[string]*sandbox
	taken   int64 // places: the sandboxes and the creates under way
	created uint64
	prefix  string
}

func (s *store) init(stats *stats) {
	s.stats = stats
	s.boxes = map[string]*sandbox{}
	// Of two servers that follow each other no sandbox is taken for the other's. Not a secret.
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	s.prefix = "i" + pad36(random.Uint64(), 9)
}

// pad36 writes the number's last digits in E2B's alphabet.
func pad36(number uint64, digits int) string {
	text := strconv.FormatUint(number, 36)
	if len(text) > digits {
		return text[len(text)-digits:]
	}
	return strings.Repeat("0", digits-len(text)) + text
}

// take takes a place for a sandbox. max: 0: there are places without end.
func (s *store) take(max int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if max > 0 && s.taken >= max {
		return false
	}
	s.taken++
	s.stats.live.add(1)
	return true
}

// add starts the sandbox's life in the place that was taken for it.
func (s *store) add(box *sandbox, life time.Duration) {
	box.gone = make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created++
	box.number = s.created
	box.id = s.prefix + pad36(s.created, 11)
	box.token = "ea_" + box.id
	box.started = time.Now()
	box.ends = box.started.Add(life)
	box.timer = time.AfterFunc(life, func() { s.expire(box) })
	s.boxes[box.id] = box
}

// find. Ids were followed by another word once; clients may still say it.
func (s *store) find(id string) *sandbox {
	if i := strings.IndexByte(id, '-'); i >= 0 {
		id = id[:i]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.boxes[id]
}

// remove ends the sandbox. Returns: false when it had ended before.
func (s *store) remove(box *sandbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removeLocked(box)
}

func (s *store) removeLocked(box *sandbox) bool {
	if s.boxes[box.id] != box {
		return false
	}
	delete(s.boxes, box.id)
	box.timer.Stop()
	close(box.gone)
	s.taken--
	s.stats.live.add(-1)
	return true
}

func (s *store) expire(box *sandbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(box.ends) { // it was given more time just now
		return
	}
	if s.removeLocked(box) {
		s.stats.expired.Add(1)
	}
}

func (s *store) keep(box *sandbox, life time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	box.ends = time.Now().Add(life)
	if s.boxes[box.id] == box {
		box.timer.Reset(life)
	}
}

func (s *store) endOf(box *sandbox) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return box.ends
}

// all returns the sandboxes in no order.
func (s *store) all() []*sandbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	boxes := make([]*sandbox, 0, len(s.boxes))
	for _, box := range s.boxes {
		boxes = append(boxes, box)
	}
	return boxes
}
