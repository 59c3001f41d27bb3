package bench

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// forgetFile takes a file that nobody uses out of the page cache: what isn't on the disk yet is written first, for the
// kernel keeps that.
func forgetFile(file *os.File) error {
	return errors.Join(file.Sync(), unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED))
}
