// Package e2e holds no code, only tests of the whole server: its process is started, talked to over HTTP, killed
// and started again, with real receivers on the other side. The server runs in a child process, which is this
// test's own binary (see TestMain), so that kill -9 is the real thing and the race detector sees it too.
package e2e
