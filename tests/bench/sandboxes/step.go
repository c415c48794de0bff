package main

import (
	"bytes"
	"strconv"
)

// step is what the worker's process step asks of its wrapper, src/worker/step.sh: a process that the sandbox knows by
// its record, and of its output the first and last bytes that are kept, from where the caller is.
type step struct {
	record           string
	limitMs          int64
	outFrom, outKeep int64
	mark             string // in front of the report, on stderr
}

var (
	stepWord = []byte(`,"step","`)
	stopWord = []byte(`,"stop","`)
)

// findWords returns what follows the word among the process's arguments, beginning with a quote. Inside a JSON string the
// quote behind a comma would be escaped: so what is found is a word by itself, not a part of the wrapper's text.
func findWords(request, word []byte) []byte {
	at := bytes.Index(request, word)
	if at < 0 {
		return nil
	}
	return request[at+len(word)-1:]
}

// cutWord takes the string in front, as it stands in the JSON: what the wrapper is told needs no escapes.
func cutWord(words []byte) (word, rest []byte) {
	if len(words) == 0 || words[0] != '"' {
		return nil, nil
	}
	for i := 1; i < len(words); i++ {
		switch words[i] {
		case '\\':
			i++
		case '"':
			rest = words[i+1:]
			if len(rest) > 0 && rest[0] == ',' {
				rest = rest[1:]
			}
			return words[1:i], rest
		}
	}
	return nil, nil
}

// readStep returns nil for a process that is no step, and the words behind the wrapper's.
func readStep(request []byte) (ret *step, program []byte) {
	words := findWords(request, stepWord)
	var word [11][]byte // record limit out_from err_from out_keep err_keep mark cpu cwd input --
	for i := range word {
		if word[i], words = cutWord(words); words == nil {
			return nil, request
		}
	}
	number := func(i int) int64 {
		value, _ := strconv.ParseInt(string(word[i]), 10, 64)
		return value
	}
	return &step{record: string(word[0]), limitMs: number(1), outFrom: number(2), outKeep: number(4),
		mark: string(word[6])}, words
}

// unsentBytes is how much of so much output the caller is still sent.
func (s *step) unsentBytes(total int64) int64 {
	if total > 2*s.outKeep {
		total = 2 * s.outKeep
	}
	if total -= s.outFrom; total < 0 {
		return 0
	}
	return total
}

// report is the wrapper's last line on stderr. how: "exit 0", "timeout 0", "cancel 0".
func (s *step) report(how string, outBytes int64) []byte {
	return []byte(s.mark + " " + how + " 1 8388608 0 0 " + strconv.FormatInt(outBytes, 10) + " 0\n")
}
