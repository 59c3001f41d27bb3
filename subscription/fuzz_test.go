package subscription

import "testing"

// FuzzParseLadder: a ladder that is accepted waits, within its bounds, and comes to an end.
func FuzzParseLadder(f *testing.F) {
	for _, s := range []string{"1m,5m,30m,1h", "exp:1s,2,1h,72h", "0s", "1d,0.5d", "exp:1s,NaN,1h,1h", "1e9h", ",", "exp:1ms,1,7d,30d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLadder(s)
		if err != nil {
			if err.Error() == "" {
				t.Errorf("%q is refused without a reason", s)
			}
			return
		}
		for _, wait := range l.Waits {
			if wait <= 0 || wait > mostWait {
				t.Errorf("%q waits %v", s, wait)
			}
		}
		if len(l.Waits) == 0 && (l.First <= 0 || l.Cap < l.First || l.GiveUp < l.First || l.GiveUp > mostGiveUp || l.Factor < 1) {
			t.Errorf("%q is %+v", s, l)
		}
	})
}
