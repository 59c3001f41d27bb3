//go:build race

package e2e_test

// rounds is how often the server is killed in TestKill_nothingIsLost, at least: under the race detector a start takes many times
// as long, and what is looked for shows in each round.
const rounds = 20
