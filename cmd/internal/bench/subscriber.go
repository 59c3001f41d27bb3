package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
)

// subscriber creates and removes an arm's Subscriptions. They have ids of their own, so that those of a kept
// folder which match nothing can stay from one run to the next.
type subscriber struct {
	base, token string
	client      *http.Client
	progress    func(done, all int)
	matching    int // how many of each there may be on the server
	others      int
}

// The ids of Subscriptions are these and a number, from 0.
const (
	matchingID = "bench-matching-"
	otherID    = "bench-other-"
)

// subscribers is how many requests a subscriber has under way.
const subscribers = 16

func newSubscriber(base, token string, progress func(done, all int)) *subscriber {
	return &subscriber{base: base, token: token, progress: progress, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: subscribers}}}
}

// create makes the server have exactly the Subscriptions of some knobs.
func (s *subscriber) create(ctx context.Context, k Knobs, endpoint string, hanging []string) error {
	defer s.client.CloseIdleConnections()
	matching := k.fanOut()
	others := k.Subscriptions - matching
	have, err := s.have(ctx, otherID)
	if err != nil {
		return err
	}
	left, err := s.have(ctx, matchingID) // by a run that was killed
	if err != nil {
		return err
	}
	s.matching, s.others = max(matching, left), max(others, have)
	criteria := Others(others)
	made, missing := new(atomic.Int64), matching+max(0, others-have)
	told := func() {
		if n := int(made.Add(1)); n%1000 == 0 {
			s.progress(n, missing)
		}
	}
	if err := s.each(have, others, func(i int) error { // those that are there are right
		defer told()
		return s.put(ctx, otherID+strconv.Itoa(i), criteria[i], endpoint)
	}); err != nil {
		return err
	}
	if err := s.each(0, matching, func(i int) error {
		defer told()
		to := endpoint
		if i < len(hanging) {
			to = hanging[i]
		}
		return s.put(ctx, matchingID+strconv.Itoa(i), Matching, to)
	}); err != nil {
		return err
	}
	return errors.Join(
		s.each(others, have, func(i int) error { return s.delete(ctx, otherID+strconv.Itoa(i)) }),
		s.each(matching, left, func(i int) error { return s.delete(ctx, matchingID+strconv.Itoa(i)) }),
	)
}

// have is how many Subscriptions of one sort an earlier run has left.
func (s *subscriber) have(ctx context.Context, prefix string) (int, error) {
	var of int // a power of two that is more
	there := func(i int) (bool, error) {
		status, _, err := s.do(ctx, http.MethodGet, prefix+strconv.Itoa(i), nil)
		return status == http.StatusOK, err
	}
	for of = 1; ; of *= 2 {
		if is, err := there(of - 1); err != nil || !is {
			if err != nil {
				return 0, err
			}
			break
		}
	}
	low, high := of/2, of-1 // the first low are there, number high is not
	for low < high {
		middle := (low + high) / 2
		is, err := there(middle)
		if err != nil {
			return 0, err
		}
		if is {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// remove deletes the Subscriptions that match, or all.
func (s *subscriber) remove(ctx context.Context, all bool) error {
	defer s.client.CloseIdleConnections()
	err := s.each(0, s.matching, func(i int) error { return s.delete(ctx, matchingID+strconv.Itoa(i)) })
	if all {
		err = errors.Join(err, s.each(0, s.others, func(i int) error { return s.delete(ctx, otherID+strconv.Itoa(s.others-1-i)) }))
	}
	return err
}

// each calls a function for each number from one on and below another, several at a time, until one fails.
func (s *subscriber) each(from, below int, do func(int) error) error {
	var next atomic.Int64
	next.Store(int64(from))
	var workers sync.WaitGroup
	failed := make(chan error, subscribers)
	for range subscribers {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= below {
					return
				}
				if err := do(i); err != nil {
					failed <- err
					next.Store(int64(below))
					return
				}
			}
		})
	}
	workers.Wait()
	close(failed)
	return <-failed // nil if there is none
}

func (s *subscriber) put(ctx context.Context, id, criteria, endpoint string) error {
	body, err := json.Marshal(map[string]any{
		"resourceType": "Subscription", "id": id, "status": "requested", "reason": "benchmark", "criteria": criteria,
		"channel":   map[string]any{"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json"},
		"extension": []any{map[string]any{"url": "https://www.medplum.com/fhir/StructureDefinition/subscription-secret", "valueString": "a-long-enough-secret"}},
	})
	if err != nil {
		return err
	}
	status, text, err := s.do(ctx, http.MethodPut, id, body)
	if err == nil && status != http.StatusOK && status != http.StatusCreated {
		err = fmt.Errorf("PUT Subscription/%s: status %d: %s", id, status, text)
	}
	return err
}

func (s *subscriber) delete(ctx context.Context, id string) error {
	status, text, err := s.do(ctx, http.MethodDelete, id, nil)
	if err == nil && status >= 300 && status != http.StatusNotFound && status != http.StatusGone {
		err = fmt.Errorf("DELETE Subscription/%s: status %d: %s", id, status, text)
	}
	return err
}

func (s *subscriber) do(ctx context.Context, method, id string, body []byte) (status int, text []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base+"/Subscription/"+id, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/fhir+json")
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(io.LimitReader(response.Body, 1000))
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	return response.StatusCode, text, err
}
