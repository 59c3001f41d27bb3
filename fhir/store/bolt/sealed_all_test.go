//go:build all

package bolt

import "testing"

// TestDB_sealed: encryption changes nothing of what a store does.
func TestDB_sealed(t *testing.T) {
	suite(t, Options{noSync: true, Sealing: Sealing{Ring: ringOf(t), Types: every}})
}
