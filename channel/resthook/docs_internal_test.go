package resthook

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// docs/outbound.md lists the ports that are closed, all of them.
func TestDocs_outboundNamesEveryPort(t *testing.T) {
	text, err := os.ReadFile("../../docs/outbound.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| service | ports |")
	table, _, _ = strings.Cut(table, "\n\n")
	named := strings.FieldsFunc(table, func(c rune) bool { return !unicode.IsDigit(c) })
	for port, service := range otherServices {
		if !slices.Contains(named, strconv.Itoa(int(port))) {
			t.Errorf("port %d of %s isn't named", port, service)
		}
	}
	for _, number := range named {
		port, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		if _, closed := otherServices[uint16(port)]; !closed && port != 2 && port != 7 { // HL7 version 2
			t.Errorf("port %d is named, and open", port)
		}
	}
}
