//go:build !linux

package bench

import (
	"errors"
	"os"
)

func forgetFile(*os.File) error {
	return errors.New("only Linux lets a program do that for single files")
}
