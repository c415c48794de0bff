package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strconv"
	"strings"
)

const home = "/home/user"

// absolute is the path as envd answers it: the home directory is where relative ones begin.
func absolute(name string) string {
	name = strings.TrimPrefix(name, "~/")
	if !strings.HasPrefix(name, "/") {
		name = home + "/" + name
	}
	return path.Clean(name)
}

func (s *server) onFilesWrite(w http.ResponseWriter, r *http.Request, box *sandbox) {
	memory := newScratch()
	defer memory.free()
	body, ok := memory.readOrRefuse(w, r)
	if !ok {
		return
	}
	name := r.URL.Query().Get("path")
	var err error
	var written []byte
	if kind := header(r, "Content-Type"); strings.HasPrefix(kind, "multipart/form-data") {
		written, err = s.writeParts(box, kind, name, body)
	} else if name == "" {
		err = errors.New("path query parameter is required for raw body upload")
	} else {
		written = s.writeFile(box, nil, name, body)
	}
	if err != nil {
		refuse(w, 400, err.Error())
		return
	}
	answerAs(w, 200, typeText, append(written, ']'))
}

// writeParts writes every part to the path that is its file name, or all to `name` where there is one.
func (s *server) writeParts(box *sandbox, kind, name string, body []byte) (written []byte, err error) {
	_, words, err := mime.ParseMediaType(kind)
	if err != nil {
		return nil, err
	}
	parts := multipart.NewReader(bytes.NewReader(body), words["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) && written != nil {
			return written, nil
		}
		if err != nil {
			return nil, err
		}
		to := name
		if to == "" {
			// Not part.FileName(), which keeps the last element of the path only.
			_, words, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
			to = words["filename"]
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		written = s.writeFile(box, written, to, content)
	}
}

// writeFile keeps a copy of the content and appends the file to the answer, which it leaves open. A file may say what the
// run that uses it shall do.
func (s *server) writeFile(box *sandbox, written []byte, name string, content []byte) []byte {
	name = absolute(name)
	wanted := s.settings.wish()
	said := wanted.read(content)
	box.mu.Lock()
	if said {
		box.wish = &wanted
	}
	if box.files == nil {
		box.files = map[string][]byte{}
	}
	box.files[name] = append([]byte(nil), content...)
	box.mu.Unlock()
	if written == nil {
		written = append(written, '[')
	} else {
		written = append(written, ',')
	}
	full, _ := json.Marshal(name)
	base, _ := json.Marshal(path.Base(name))
	written = append(append(written, `{"name":`...), base...)
	written = append(append(written, `,"path":`...), full...)
	return append(written, `,"type":"file"}`...)
}

func (s *server) onFileRead(w http.ResponseWriter, r *http.Request, box *sandbox) {
	name := absolute(r.URL.Query().Get("path"))
	box.mu.Lock()
	content, isThere := box.files[name]
	box.mu.Unlock()
	if !isThere {
		refuse(w, 404, "path '"+name+"' does not exist")
		return
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(content))}
	answerAs(w, 200, []string{"application/octet-stream"}, content)
}
