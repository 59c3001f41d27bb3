package resthook_test

import (
	"strings"
	"testing"

	"fhirhook/channel/resthook"
)

func policy(t testing.TB, dev bool, endpoints, http string) resthook.Policy {
	t.Helper()
	p, err := resthook.NewPolicy(dev, strings.Fields(endpoints), strings.Fields(http))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPolicy_CheckURL_default(t *testing.T) {
	tests := []struct{ url, bad string }{
		{"https://receiver.example/hook", ""},
		{"https://receiver.example", ""},
		{"https://receiver.example:8443/hook?a=b&c=d", ""},
		{"HTTPS://Receiver.Example./hook", ""},
		{"https://xn--bcher-kva.example/", ""},
		{"https://under_score.example/", ""},
		{"https://93.184.216.34/", ""},
		{"https://[2606:2800:220:1:248:1893:25c8:1946]/", ""},
		{"https://[::ffff:93.184.216.34]/", ""},
		{"https://[64:ff9b::5db8:d822]/", ""},
		{"https://[2002:5db8:d822::1]/", ""},
		{"https://[64:ff9b:1::5db8:d822]/", ""},
		{"https://[64:ff9b:1:5db8:d8:2200::]/", ""},
		{"https://3com.example/", ""},

		{"", "empty"},
		{"receiver.example/hook", "begins with https://"},
		{"/hook", "begins with https://"},
		{"//receiver.example/hook", "begins with https://"},
		{"ftp://receiver.example/", "begins with https://"},
		{"file:///etc/passwd", "begins with https://"},
		{"gopher://receiver.example/", "begins with https://"},
		{"mailto:a@b.example", "begins with https://"},
		{"urn:uuid:0192f2d0", "begins with https://"},
		{"https:receiver.example", "names no host"},
		{"https:///hook", "names no host"},
		{"https://", "names no host"},
		{"https://:443/", "names no host"},
		{"https://receiver.example:/", "colon but no port"},
		{"https://receiver.example:0/", "port"},
		{"https://receiver.example:65536/", "port"},
		{"https://receiver.example:https/", "not a URL"},
		{"https://user:pass@receiver.example/", "credentials"},
		{"https://user@receiver.example/", "credentials"},
		{"https://@receiver.example/", "credentials"},
		{"https://receiver.example/#part", "fragment"},
		{"https://receiver.example/#", "fragment"},
		{"https://receiver.example/a b", "blank"},
		{" https://receiver.example/", "blank"},
		{"https://receiver.example/\n", "blank"},
		{"https://receiver.example\\@10.0.0.1/", "backslash"},
		{"https://receiver..example/", "not a name"},
		{"https://bücher.example/", "xn--"},
		{"https://b%C3%BCcher.example/", "xn--"},
		{"https://１２７.0.0.1/", "xn--"},
		{"https://127。0。0。1/", "xn--"},
		{"https://ⓛocalhost/", "xn--"},
		{"https://a,b.example/", "no host name has"},
		{"http://receiver.example/", "--allow-http receiver.example"},
		{"http://93.184.216.34/", "--allow-http 93.184.216.34"},

		{"https://localhost/", "this server itself"},
		{"https://LocalHost.:8443/", "this server itself"},
		{"https://a.localhost/", "this server itself"},
		{"https://metadata.google.internal/", "metadata"},

		{"https://10.0.0.5/", "10.0.0.5 is a private address; ask the operator to allow it with --allow-endpoint 10.0.0.5/32"},
		{"https://172.16.0.1/", "private"},
		{"https://172.31.255.255/", "private"},
		{"https://192.168.1.1:8080/", "private"},
		{"https://127.0.0.1/", "loopback"},
		{"https://127.255.0.1/", "loopback"},
		{"https://0.0.0.0/", "unspecified"},
		{"https://0.1.2.3/", "reserved"},
		{"https://169.254.1.1/", "link-local"},
		{"https://169.254.169.254/", "metadata"},
		{"https://100.100.100.200/", "metadata"},
		{"https://168.63.129.16/", "metadata"},
		{"https://169.254.170.2/", "metadata"},
		{"https://100.64.0.1/", "carrier"},
		{"https://192.0.0.8/", "reserved"},
		{"https://192.0.2.1/", "documentation"},
		{"https://198.51.100.1/", "documentation"},
		{"https://203.0.113.1/", "documentation"},
		{"https://198.18.0.1/", "benchmarks"},
		{"https://198.19.255.255/", "benchmarks"},
		{"https://192.88.99.1/", "reserved"},
		{"https://224.0.0.1/", "multicast"},
		{"https://239.255.255.255/", "multicast"},
		{"https://240.0.0.1/", "reserved"},
		{"https://255.255.255.255/", "broadcast"},

		{"https://2130706433/", "unusual form"},
		{"https://0x7f000001/", "unusual form"},
		{"https://0x7f.0.0.1/", "unusual form"},
		{"https://0177.0.0.1/", "unusual form"},
		{"https://127.1/", "unusual form"},
		{"https://127.0.0.1./", "unusual form"},
		{"https://127.0.0.01/", "unusual form"},
		{"https://1.2.3.4.5/", "unusual form"},
		{"https://10.0.0.0x5/", "unusual form"},
		{"https://0/", "unusual form"},
		{"https://%31%32%37.0.0.1/", "not a URL"},

		{"https://[::1]/", "loopback"},
		{"https://[::]/", "unspecified"},
		{"https://[0:0:0:0:0:0:0:1]/", "loopback"},
		{"https://[::ffff:127.0.0.1]/", "loopback"},
		{"https://[::ffff:7f00:1]/", "loopback"},
		{"https://[::ffff:10.0.0.5]/", "10.0.0.5 is a private address"},
		{"https://[::ffff:169.254.169.254]/", "metadata"},
		{"https://[::127.0.0.1]/", "loopback"},
		{"https://[::10.0.0.1]/", "private"},
		{"https://[::ffff:0:10.0.0.1]/", "private"},
		{"https://[64:ff9b::a00:5]/", "stands for 10.0.0.5"},
		{"https://[64:ff9b::7f00:1]/", "loopback"},
		{"https://[64:ff9b::a9fe:a9fe]/", "metadata"},
		{"https://[64:ff9b:1::a00:5]/", "private"},
		{"https://[64:ff9b:1:a00:0:500::]/", "private"},
		{"https://[64:ff9b:1:a00:0:500:808:808]/", "private"},
		{"https://[64:ff9b:1:7f:0:1::]/", "loopback"},
		{"https://[64:ff9b:2::1]/", "reserved"},
		{"https://[2002:a00:5::1]/", "stands for 10.0.0.5"},
		{"https://[2002:7f00:1::]/", "loopback"},
		{"https://[2002:a9fe:a9fe::]/", "metadata"},
		{"https://[2001:0:5db8:d822:0:0:f5ff:fffa]/", "stands for 10.0.0.5"},
		{"https://[2001:0:a00:5:0:0:a247:27dd]/", "stands for 10.0.0.5"},
		{"https://[2001:0:5db8:d822:0:0:a247:27dd]/", "reserved"},
		{"https://[fc00::1]/", "private"},
		{"https://[fd12:3456::1]/", "private"},
		{"https://[fd00:ec2::254]/", "metadata"},
		{"https://[fe80::1]/", "link-local"},
		{"https://[fe80::1%25eth0]/", "zone"},
		{"https://[::ffff:127.0.0.1%25lo]/", "zone"},
		{"https://[fec0::1]/", "private"},
		{"https://[ff02::1]/", "multicast"},
		{"https://[2001:db8::1]/", "documentation"},
		{"https://[3fff::1]/", "documentation"},
		{"https://[2001:2::1]/", "benchmarks"},
		{"https://[2001:10::1]/", "reserved"},
		{"https://[100::1]/", "reserved"},
		{"https://[5f00::1]/", "reserved"},
		{"https://[4000::1]/", "reserved"},
		{"https://[127.0.0.1]/", "not a URL"},
		{"https://[::1/", "not a URL"},
	}
	p := policy(t, false, "", "")
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) { expect(t, p, tt.url, tt.bad) })
	}
}

func TestPolicy_CheckURL_opened(t *testing.T) {
	tests := []struct {
		name            string
		dev             bool
		endpoints, http string
		url, bad        string
	}{
		{"dev opens http", true, "", "", "http://receiver.example/", ""},
		{"dev opens loopback", true, "", "", "http://127.0.0.1:9000/hook", ""},
		{"dev opens loopback, v6", true, "", "", "http://[::1]:9000/hook", ""},
		{"dev opens loopback, mapped", true, "", "", "http://[::ffff:127.0.0.1]:9000/", ""},
		{"dev opens localhost", true, "", "", "http://localhost:9000/hook", ""},
		{"dev opens no private address", true, "", "", "http://10.0.0.5/", "private"},
		{"dev opens no carrier's address", true, "", "", "http://100.64.0.1/", "carrier"},
		{"dev opens no link-local address", true, "", "", "http://169.254.1.1/", "link-local"},
		{"dev opens no metadata", true, "", "", "http://169.254.169.254/", "metadata"},
		{"dev opens no unspecified address", true, "", "", "http://0.0.0.0:9000/", "unspecified"},
		{"dev opens no odd form", true, "", "", "http://0x7f.1/", "unusual form"},
		{"dev opens no loopback in disguise", true, "", "", "http://[2002:7f00:1::]/", "loopback"},
		{"dev opens no credentials", true, "", "", "http://u:p@127.0.0.1/", "credentials"},

		{"cidr", false, "10.0.0.0/8", "", "https://10.9.8.7/", ""},
		{"cidr, another address", false, "10.0.0.0/8", "", "https://192.168.0.1/", "private"},
		{"cidr, mapped", false, "10.0.0.0/8", "", "https://[::ffff:10.1.1.1]/", ""},
		{"cidr, in disguise", false, "10.0.0.0/8", "", "https://[64:ff9b::a00:5]/", "private"},
		{"cidr opens no http", false, "10.0.0.0/8", "", "http://10.9.8.7/", "--allow-http 10.9.8.7"},
		{"address", false, "10.0.0.5", "", "https://10.0.0.5:8443/", ""},
		{"address with port", false, "10.0.0.5:8443", "", "https://10.0.0.5:8443/", ""},
		{"address with another port", false, "10.0.0.5:8443", "", "https://10.0.0.5/", "private"},
		{"address, v6", false, "fd12::1", "", "https://[fd12::1]/", ""},
		{"address, v6 with port", false, "[fd12::1]:8443", "", "https://[fd12::1]:8443/", ""},
		{"address, v6 with another port", false, "[fd12::1]:8443", "", "https://[fd12::1]/", "private"},
		{"cidr, v6", false, "fd12::/16", "", "https://[fd12::1]/", ""},
		{"everything but metadata", false, "0.0.0.0/0 ::/0", "", "https://169.254.169.254/", "metadata"},
		{"everything but metadata, v6", false, "0.0.0.0/0 ::/0", "", "https://[fd00:ec2::254]/", "metadata"},
		{"everything but multicast", false, "0.0.0.0/0 ::/0", "", "https://224.0.0.1/", "no endpoint can be"},
		{"metadata named singly", false, "169.254.169.254/32", "", "https://169.254.169.254/", ""},
		{"metadata named singly, as an address", false, "fd00:ec2::254", "", "https://[fd00:ec2::254]/", ""},
		{"metadata named by a range", false, "169.254.0.0/16", "", "https://169.254.169.254/", "metadata"},
		{"metadata by name", false, "metadata.google.internal", "", "https://metadata.google.internal/", "metadata"},
		{"loopback by range", false, "127.0.0.0/8", "", "https://localhost/", ""},
		{"localhost by name", false, "localhost", "", "https://localhost:8443/", ""},
		{"localhost by name and port", false, "localhost:9000", "", "https://localhost:8443/", "this server itself"},

		{"http by name", false, "", "receiver.example", "http://receiver.example/", ""},
		{"http by name, other case and dot", false, "", "Receiver.Example.", "http://receiver.example/", ""},
		{"http by name, another", false, "", "receiver.example", "http://other.example/", "--allow-http"},
		{"http by name, a part of it", false, "", "example", "http://receiver.example/", "--allow-http"},
		{"http by range opens no address", false, "", "10.0.0.0/8", "http://10.0.0.5/", "--allow-endpoint 10.0.0.5/32"},
		{"http and address", false, "10.0.0.0/8", "10.0.0.0/8", "http://10.0.0.5/", ""},
		{"http by range leaves names to the dial", false, "", "10.0.0.0/8", "http://ris.example/", ""},
		{"http by range, another address", false, "", "10.0.0.0/8", "http://93.184.216.34/", "--allow-http"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expect(t, policy(t, tt.dev, tt.endpoints, tt.http), tt.url, tt.bad) })
	}
}

func expect(t *testing.T, p resthook.Policy, url, bad string) {
	t.Helper()
	err := p.CheckURL(url)
	switch {
	case bad == "" && err != nil:
		t.Errorf("refused: %v", err)
	case bad != "" && err == nil:
		t.Errorf("accepted, want a refusal with %q", bad)
	case bad != "" && !strings.Contains(err.Error(), bad):
		t.Errorf("refused with %q, want %q", err, bad)
	}
}

func TestNewPolicy_namesEveryProblem(t *testing.T) {
	_, err := resthook.NewPolicy(false,
		[]string{"10.0.0.0/8", "10.0.0.5/8", "*.hospital.example", "https://a.example", "a.example:0", "a.example:x", "", "::ffff:10.0.0.0/104", "10.1", "fe80::1%eth0", "a b"},
		[]string{"a.example:80", "10.0.0.0/33"})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{
		"--allow-endpoint 10.0.0.5/8: has bits beyond its length; did you mean 10.0.0.0/8 or 10.0.0.5/32?",
		"*.hospital.example", "https://a.example", "a.example:0", "a.example:x", "--allow-endpoint : ", "write IPv4", "10.1", "zone", "a b",
		"--allow-http a.example:80: a port can't be named here", "--allow-http 10.0.0.0/33",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q isn't named in:\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), "--allow-endpoint 10.0.0.0/8:") {
		t.Errorf("a good value is named:\n%v", err)
	}
}
