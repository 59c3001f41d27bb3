//go:build !race

package e2e_test

// rounds is how often the server is killed in TestKill_nothingIsLost, at least.
const rounds = 100
