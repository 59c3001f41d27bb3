// Command serve is a receiver of fhirhook's notifications. It prints a line of JSON for each.
//
//	SECRETS="newer older" LISTEN=127.0.0.1:9000 TOLERANCE=300 go run ./docs/receivers/go/serve
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	receiver "fhirhook/docs/receivers/go"
)

func main() {
	seconds, err := strconv.Atoi(cmp.Or(os.Getenv("TOLERANCE"), "300"))
	secrets := strings.Fields(os.Getenv("SECRETS"))
	if err != nil || len(secrets) == 0 {
		log.Fatal("SECRETS has to hold the secrets, apart by spaces, and TOLERANCE a number of seconds")
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	write := func(line any) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(line) // a log that is full or gone stops no notification
	}
	keep := func(receiver.Notification) error { return nil } // here goes your table or queue
	r := receiver.New(secrets, keep, func(v receiver.Verdict) { write(v) })
	r.Tolerance = time.Duration(seconds) * time.Second

	var listen net.ListenConfig
	listener, err := listen.Listen(context.Background(), "tcp", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:9000"))
	if err != nil {
		log.Fatal(err)
	}
	write(map[string]string{"listening": "http://" + listener.Addr().String()})
	server := &http.Server{Handler: r, ReadTimeout: 30 * time.Second}
	log.Fatal(server.Serve(listener))
}
