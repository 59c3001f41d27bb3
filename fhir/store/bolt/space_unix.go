//go:build linux || darwin || freebsd

package bolt

import "syscall"

// freeSpace is how many bytes may still be written to the disk of a folder; false: nobody knows.
func freeSpace(dir string) (int64, bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:unconvert // the types differ from system to system
}
