package storetest

import (
	"testing"

	"fhirhook/fhir/store"
)

func TestModel(t *testing.T) {
	Run(t, func(*testing.T) store.DB { return NewModel() },
		func(_ *testing.T, db store.DB) store.DB { return db.(*model).reopen() })
}
