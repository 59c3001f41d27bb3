package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a child that serves HTTP, and whose use of the machine is measured (Linux: /proc).
type Process struct {
	Base    string // the last word of the first line that it printed
	Ready   time.Duration
	command *exec.Cmd
	out     *bufio.Reader // what it prints behind that line
}

// Start runs a command and waits until it has printed its line. It is killed when ctx ends.
func Start(ctx context.Context, command *exec.Cmd, log io.Writer) (*Process, error) {
	p := &Process{command: command}
	command.Stderr = log
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	began := time.Now()
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
	p.out = bufio.NewReader(out)
	if p.Base, err = p.Address(); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	p.Ready = time.Since(began)
	return p, nil
}

// Address waits for another line, and returns its last word.
func (p *Process) Address() (string, error) {
	line, err := p.out.ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) == 0 {
		return "", errors.Join(fmt.Errorf("%s printed no address", p.command.Path), err)
	}
	return words[len(words)-1], nil
}

// Kill is kill -9. A process that has ended already is left as it is.
func (p *Process) Kill() error {
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = p.command.Wait() // its exit status is the kill
	return nil
}

// Stop is SIGTERM, and waits for the end.
func (p *Process) Stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.command.Wait()
}

// tick is the unit of CPU times in /proc: USER_HZ, which is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// CPU is the time that all threads have spent on processors so far, to 10 ms.
func (p *Process) CPU() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the command in parentheses and may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const user, system = 11, 12 // of the fields behind the command
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/stat has %d fields", len(fields))
	}
	u, err1 := strconv.ParseInt(fields[user], 10, 64)
	s, err2 := strconv.ParseInt(fields[system], 10, 64)
	return time.Duration(u+s) * tick, errors.Join(err1, err2)
}

// Memory is what a process holds, in bytes.
type Memory struct {
	Anonymous int64 // its own: heap, stacks, tables
	File      int64 // mapped pages of files, which the kernel takes back when it needs them
	Peak      int64 // the most of both together, ever
}

// Memory reads it from the kernel.
func (p *Process) Memory() (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	into := map[string]*int64{"RssAnon": &m.Anonymous, "RssFile": &m.File, "VmHWM": &m.Peak}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		target, ok := into[name]
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("/proc/status: %s: %w", name, err)
		}
		*target = kib << 10
		delete(into, name)
	}
	if len(into) > 0 {
		return Memory{}, fmt.Errorf("/proc/status lacks %v", into)
	}
	return m, nil
}
