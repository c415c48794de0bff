// sandboxes stands in E2B's place when a worker is measured: it speaks the protocol of E2B's control plane and of its
// sandboxes, and runs nothing. How long a job takes and what it prints is said by the options or by the job itself, so
// that the CPU and the time which are measured are the client's. It is no judge of behaviour: e2b-local is.
package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
)

const about = `E2B's control plane and sandboxes for load tests: it speaks the protocol and runs no code.

usage: sandboxes [--listen HOST:PORT] [--port-file FILE] [--tls --ca-file FILE] [options]

`

const more = `
A job chooses for itself by a line in its code, in a file that it uploads, or in an argument of its process:
    # bench run_ms=2000 output_bytes=1000000

GET  /__stats             counters, as JSON
POST /__reset             sets them to 0; what is a maximum begins at what is there now
POST /__set?run_ms=50&... changes run_ms, output_bytes, create_ms, max_live

exit codes: 0 ended by SIGTERM or SIGINT; 1 cannot listen; 2 usage
`

type options struct {
	listen, portFile, caFile string
	useTLS                   bool
	settings                 map[string]*int64
}

func readOptions(words []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("sandboxes", flag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "loopback `HOST:PORT` of both planes; port 0: a free one")
	flags.StringVar(&o.portFile, "port-file", "", "write the port into this `FILE` when listening")
	flags.BoolVar(&o.useTLS, "tls", false, "serve HTTPS: HTTP/2 and HTTP/1.1 by ALPN")
	flags.StringVar(&o.caFile, "ca-file", "", "with --tls: write the certificate to trust into this `FILE`, as PEM")
	o.settings = map[string]*int64{
		"create_ms":    flags.Int64("create-ms", 0, "how long a create takes, `ms`"),
		"run_ms":       flags.Int64("run-ms", 0, "how long a run takes that does not say, `ms`"),
		"output_bytes": flags.Int64("output-bytes", 16, "`bytes` that a run prints that does not say"),
		"max_live":     flags.Int64("max-live", 0, "sandboxes at once, further creates get 429; 0: any `number`"),
	}
	flags.SetOutput(io.Discard) // it would print the whole help behind every mistake
	err := flags.Parse(words)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(os.Stdout)
		fmt.Print(about)
		flags.PrintDefaults()
		fmt.Print(more)
	}
	if err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown word %q", flags.Arg(0))
	}
	if o.useTLS != (o.caFile != "") {
		return nil, errors.New("--tls and --ca-file go together")
	}
	return o, nil
}

// listenLoopback opens no port to others: what is answered here to any key is nobody's secret, but may be taken for E2B.
func listenLoopback(address string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("%s is not loopback", address)
	}
	return net.ListenTCP("tcp", resolved)
}

// writePort leaves no moment in which a reader finds half of it.
func writePort(file string, port int) error {
	if file == "" {
		return nil
	}
	half := file + ".part"
	if err := os.WriteFile(half, []byte(strconv.Itoa(port)+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(half, file)
}

func serve(o *options, s *server) error {
	listener, err := listenLoopback(o.listen)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: s, ConnState: s.stats.onConnection}
	if o.useTLS {
		certificate, err := newCertificate(o.caFile)
		if err != nil {
			return err
		}
		web.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
	}
	if err := writePort(o.portFile, listener.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-ending
		web.Close()
	}()
	if o.useTLS {
		err = web.ServeTLS(listener, "", "")
	} else {
		err = web.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func run(words []string) int {
	o, err := readOptions(words)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	s := newServer()
	if err == nil {
		err = s.settings.setAll(o.settings)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandboxes:", err)
		return 2
	}
	debug.SetGCPercent(400) // memory is cheap here, the collector's turns would be measured
	if err := serve(o, s); err != nil {
		fmt.Fprintln(os.Stderr, "sandboxes:", err)
		return 1
	}
	return 0
}

func main() {
	os.Exit(run(os.Args[1:]))
}
