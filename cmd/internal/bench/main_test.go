package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"syscall"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/bench"
)

// The variables by which this binary, started again, knows what to be.
const (
	floorVariable    = "FHIRHOOK_BENCH_FLOOR"   // the floor: its options as JSON
	serveVariable    = "FHIRHOOK_BENCH_SERVE"   // the server with a CPU profile: its data folder
	receiverVariable = "FHIRHOOK_BENCH_RECEIVE" // a receiver
	profileVariable  = "FHIRHOOK_BENCH_PROFILE" // a folder for CPU profiles of all servers
)

// table is printed behind everything else.
var table bench.Table

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	var err error
	switch {
	case os.Getenv(floorVariable) != "":
		err = serveFloor(ctx, os.Getenv(floorVariable))
	case os.Getenv(receiverVariable) != "":
		err = serveReceiver(ctx)
	case os.Getenv(serveVariable) != "":
		err = serveProfiled(ctx, os.Getenv(serveVariable))
	default:
		stop()
		code := m.Run()
		_ = os.RemoveAll(binaryFolder)
		if err := table.Print(os.Stdout); err != nil {
			code = 1
		}
		os.Exit(code)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveFloor(ctx context.Context, text string) error {
	var o bench.FloorOptions
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	f, err := bench.OpenFloor(o)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("the floor serves http://" + l.Addr().String())
	return f.Serve(ctx, l)
}

// serveProfiled is `fhirhook serve` with its defaults, and with a CPU profile of its whole life.
func serveProfiled(ctx context.Context, data string) error {
	file, err := os.Create(filepath.Join(os.Getenv(profileVariable), filepath.Base(data)+".pprof"))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	app.TuneCollector()
	server, err := app.New(ctx, app.Options{
		Listen: "127.0.0.1:0", Data: data, Dev: true, Dialect: "kit", ErrorAfter: "10,1h", OffAfter: 72 * time.Hour,
		MaxBody: 8 << 20, MaxBundle: 64 << 20, Drain: 20 * time.Second, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	fmt.Println("fhirhook serves", server.BaseURL())
	return server.Run(ctx)
}

// binaryFolder is where binary builds; TestMain removes it.
var binaryFolder string

// binary builds fhirhook once, as users run it.
var binary = sync.OnceValues(func() (string, error) {
	var err error
	if binaryFolder, err = os.MkdirTemp("", "fhirhook-bench"); err != nil {
		return "", err
	}
	path := filepath.Join(binaryFolder, "fhirhook")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", path, "fhirhook/cmd/fhirhook").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// startServer runs `fhirhook serve --dev` on a folder, its log in a file beside.
func startServer(b *testing.B, data string) *bench.Process {
	b.Helper()
	var command *exec.Cmd
	if os.Getenv(profileVariable) != "" {
		command = again(serveVariable + "=" + data)
	} else {
		path, err := binary()
		if err != nil {
			b.Fatal(err)
		}
		command = exec.Command(path, "serve", "--dev", "--listen", "127.0.0.1:0", "--data", data)
	}
	return start(b, command, data)
}

// startFloor runs the floor on a folder of its own; "" for an endpoint: it notifies nobody.
func startFloor(b *testing.B, endpoint string) *bench.Process {
	b.Helper()
	data := b.TempDir()
	text, err := json.Marshal(bench.FloorOptions{Data: data, Endpoint: endpoint, FanOut: 1})
	if err != nil {
		b.Fatal(err)
	}
	return start(b, again(floorVariable+"="+string(text)), data)
}

// again is this binary once more, in a role.
func again(role string) *exec.Cmd {
	command := exec.Command(os.Args[0], "-test.run=^$")
	command.Env = append(os.Environ(), role)
	return command
}

func start(b *testing.B, command *exec.Cmd, data string) *bench.Process {
	b.Helper()
	log, err := os.Create(filepath.Join(data, "log"))
	if err != nil {
		b.Fatal(err)
	}
	p, err := bench.Start(context.Background(), command, log)
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		b.Fatalf("%v\n%s", err, text)
	}
	b.Cleanup(func() {
		if os.Getenv(profileVariable) != "" {
			_ = p.Stop() // writes the profile
		} else {
			_ = p.Kill()
		}
		log.Close()
	})
	return p
}
