package resthook

// ssrfAttacks are the attacks of TestAttack_ssrf, each with a name to be cited by, and the uses that must go on
// working beside them.
func ssrfAttacks() []attack {
	var all []attack
	// literal is a host of a URL, resolved what a harmless name resolves to.
	literal := func(name, host, words string) {
		all = append(all, attack{name: "literal " + name, url: "https://" + host + ":PORT/hook", words: words})
	}
	resolved := func(name, answers, words string) {
		all = append(all, attack{name: "name resolves to " + name, url: "https://victim.example:PORT/hook", answers: answers, words: words})
	}
	form := func(name, url, words string) { all = append(all, attack{name: name, url: url, words: words}) }
	use := func(name, url, answers string, o opening, reaches string) {
		all = append(all, attack{name: "use: " + name, url: url, answers: answers, open: o, reaches: reaches})
	}
	opened := func(name, url, answers string, o opening, words string) {
		all = append(all, attack{name: name, url: url, answers: answers, open: o, words: words})
	}

	for _, a := range []struct{ name, v4, words string }{
		{"loopback", "127.0.0.1", "loopback"},
		{"the end of loopback", "127.255.255.254", "loopback"},
		{"class A private", "10.0.0.5", "private"},
		{"class B private", "172.16.0.1", "private"},
		{"the end of class B private", "172.31.255.255", "private"},
		{"class C private", "192.168.0.1", "private"},
		{"link-local", "169.254.7.7", "link-local"},
		{"metadata", "169.254.169.254", "metadata"},
		{"container credentials", "169.254.170.2", "metadata"},
		{"metadata of another cloud", "100.100.100.200", "metadata"},
		{"metadata at a public address", "168.63.129.16", "metadata"},
		{"carrier", "100.64.0.1", "carrier"},
		{"the end of carrier", "100.127.255.254", "carrier"},
		{"unspecified", "0.0.0.0", "unspecified"},
		{"this network", "0.1.2.3", "reserved"},
		{"protocol assignments", "192.0.0.8", "reserved"},
		{"documentation", "192.0.2.1", "documentation"},
		{"documentation 2", "198.51.100.7", "documentation"},
		{"documentation 3", "203.0.113.7", "documentation"},
		{"benchmarks", "198.18.0.1", "benchmarks"},
		{"the end of benchmarks", "198.19.255.255", "benchmarks"},
		{"an old relay", "192.88.99.1", "reserved"},
		{"multicast", "224.0.0.1", "multicast"},
		{"the end of multicast", "239.255.255.250", "multicast"},
		{"class E", "240.0.0.1", "reserved"},
		{"broadcast", "255.255.255.255", "broadcast"},
	} {
		literal(a.name, a.v4, a.words)
		resolved(a.name, a.v4, a.words)
		resolved(a.name+", mapped into IPv6", "::ffff:"+a.v4, a.words)
	}
	for _, a := range []struct{ name, v6, words string }{
		{"v6 loopback", "::1", "loopback"},
		{"v6 unspecified", "::", "unspecified"},
		{"unique local", "fd12:3456::1", "private"},
		{"unique local, fc", "fc00::1", "private"},
		{"site local", "fec0::1", "private"},
		{"v6 link-local", "fe80::1", "link-local"},
		{"v6 multicast", "ff02::1", "multicast"},
		{"v6 metadata", "fd00:ec2::254", "metadata"},
		{"v6 metadata of another cloud", "fd20:ce::254", "metadata"},
		{"v6 documentation", "2001:db8::1", "documentation"},
		{"v6 documentation 2", "3fff::1", "documentation"},
		{"v6 benchmarks", "2001:2::1", "benchmarks"},
		{"discard", "100::1", "reserved"},
		{"segment routing", "5f00::1", "reserved"},
		{"not given out", "4000::1", "reserved"},
		{"v4-compatible loopback", "::7f00:1", "loopback"},
		{"v4-compatible private", "::a00:5", "private"},
		{"v4-translated", "::ffff:0:a00:5", "private"},
		{"6to4 private", "2002:a00:5::1", "stands for 10.0.0.5"},
		{"6to4 loopback", "2002:7f00:1::", "loopback"},
		{"6to4 metadata", "2002:a9fe:a9fe::", "metadata"},
		{"NAT64 private", "64:ff9b::a00:5", "stands for 10.0.0.5"},
		{"NAT64 loopback", "64:ff9b::7f00:1", "loopback"},
		{"NAT64 metadata", "64:ff9b::a9fe:a9fe", "metadata"},
		{"local NAT64 private", "64:ff9b:1::a00:5", "private"},
		{"local NAT64 of 48 bits", "64:ff9b:1:a00:0:500::", "private"},
		{"local NAT64 of 64 bits", "64:ff9b:1:0:a:0:500::", "private"},
		{"not NAT64", "64:ff9b:2::1", "reserved"},
		{"Teredo with a private client", "2001:0:5db8:d822:0:0:f5ff:fffa", "stands for 10.0.0.5"},
		{"Teredo with a private server", "2001:0:a00:5:0:0:a247:27dd", "stands for 10.0.0.5"},
		{"Teredo", "2001:0:5db8:d822:0:0:a247:27dd", "reserved"},
		{"ISATAP private", "2606:2800:220:1:0:5efe:a00:5", "stands for 10.0.0.5"},
		{"ISATAP metadata, universal", "2606:2800:220:1:200:5efe:a9fe:a9fe", "metadata"},
		{"ISATAP in link-local", "fe80::5efe:5db8:d822", "link-local"},
		{"6to4 and ISATAP", "2002:5db8:d822:1:0:5efe:7f00:1", "loopback"},
	} {
		literal(a.name, "["+a.v6+"]", a.words)
		resolved(a.name, a.v6, a.words)
	}

	for _, a := range []struct{ name, host string }{
		{"a decimal number", "2130706433"},
		{"a hexadecimal number", "0x7f000001"},
		{"an octal number", "017700000001"},
		{"hexadecimal parts", "0x7f.0x0.0x0.0x1"},
		{"octal parts", "0177.0.0.01"},
		{"mixed parts", "0x7f.0.0.01"},
		{"two parts", "127.1"},
		{"three parts", "127.0.1"},
		{"five parts", "127.0.0.1.1"},
		{"a trailing dot", "127.0.0.1."},
		{"a leading zero", "127.0.0.01"},
		{"a part too large", "127.0.0.257"},
		{"zero", "0"},
		{"an overflow", "4294967297"},
		{"metadata as a number", "2852039166"},
		{"hexadecimal without a number", "0x"},
		{"capital X", "0X7F.1"},
	} {
		all = append(all, attack{name: "spelled as " + a.name, url: "https://" + a.host + ":PORT/", words: "unusual form"})
	}
	form("full-width digits", "https://１２７.0.0.1:PORT/", "xn--")
	form("circled digits", "https://①②⑦.0.0.1:PORT/", "xn--")
	form("ideographic full stops", "https://127。0。0。1:PORT/", "xn--")
	form("letters that look like localhost", "https://ⓛocalhost:PORT/", "xn--")
	form("a soft hyphen in localhost", "https://local\u00adhost:PORT/", "xn--")
	form("percent-encoded host", "https://%31%32%37.0.0.1:PORT/", "not a URL")
	form("percent-encoded dot", "https://127%2e0.0.1:PORT/", "not a URL")
	form("percent-encoded bytes beyond ASCII", "https://%E2%93%9Bocalhost:PORT/", "xn--")
	form("user before the host", "https://victim.example@127.0.0.1:PORT/", "credentials")
	form("user and password", "https://victim.example:443@127.0.0.1:PORT/", "credentials")
	form("empty user", "https://@127.0.0.1:PORT/", "credentials")
	form("encoded at sign", "https://victim.example%40127.0.0.1:PORT/", "not a URL")
	form("backslash for a slash", `https://victim.example\@127.0.0.1:PORT/`, "backslash")
	form("backslashes for slashes", `https:\\127.0.0.1:PORT\`, "backslash")
	form("tab in the host", "https://127.0\t.0.1:PORT/", "control character")
	form("newline in the host", "https://127.0.0.1\n:PORT/", "control character")
	form("carriage return and header", "https://victim.example/\r\nHost: 127.0.0.1", "control character")
	form("NUL in the host", "https://victim.example\x00.127.0.0.1:PORT/", "control character")
	form("blank before the scheme", " https://127.0.0.1:PORT/", "blank")
	form("fragment that hides a host", "https://127.0.0.1:PORT#@victim.example/", "fragment")
	form("no scheme", "//127.0.0.1:PORT/", "begins with https://")
	form("file", "file:///etc/passwd", "begins with https://")
	form("gopher", "gopher://127.0.0.1:6379/_FLUSHALL", "begins with https://")
	form("dict", "dict://127.0.0.1:11211/stats", "begins with https://")
	form("ftp", "ftp://127.0.0.1:PORT/", "begins with https://")
	form("unix", "unix:///var/run/docker.sock", "begins with https://")
	form("jar", "jar:https://127.0.0.1:PORT!/", "begins with https://")
	form("one slash", "https:/127.0.0.1:PORT/", "names no host")
	form("three slashes", "https:///127.0.0.1:PORT/", "names no host")
	form("opaque", "https:127.0.0.1:PORT", "names no host")
	form("brackets around IPv4", "https://[127.0.0.1]:PORT/", "not a URL")
	form("zone", "https://[fe80::1%25lo]:PORT/", "zone")
	form("zone on loopback", "https://[::1%25lo]:PORT/", "zone")
	form("zone on a mapped address", "https://[::ffff:127.0.0.1%25lo]:PORT/", "zone")
	form("no end of brackets", "https://[::1:PORT/", "not a URL")
	form("two ports", "https://127.0.0.1:80:PORT/", "not a URL")
	form("port zero", "https://victim.example:0/", "port")
	form("port with a zero before it", "https://victim.example:0443/", "port")
	form("port that overflows", "https://victim.example:65979/", "port")
	form("empty label", "https://127..1:PORT/", "not a name")
	form("localhost", "https://localhost:PORT/", "this server itself")
	form("localhost with a dot", "https://localhost.:PORT/", "this server itself")
	form("localhost in capitals", "https://LOCALHOST:PORT/", "this server itself")
	form("a name under localhost", "https://victim.localhost:PORT/", "this server itself")
	form("metadata by name", "https://metadata.google.internal:PORT/", "metadata")
	form("metadata by its short name", "https://metadata:PORT/", "metadata")
	form("metadata by name, with a dot", "https://Metadata.Google.Internal.:PORT/", "metadata")
	form("http", "http://victim.example:PORT/", "not encrypted")
	form("http to loopback", "http://127.0.0.1:PORT/", "not encrypted")
	for _, port := range []struct{ name, number, service string }{
		{"SMTP", "25", "mail"},
		{"SSH", "22", "remote log-in"},
		{"Telnet", "23", "remote log-in"},
		{"DNS", "53", "name"},
		{"LDAP", "389", "directory"},
		{"Redis", "6379", "cache"},
		{"memcached", "11211", "cache"},
		{"PostgreSQL", "5432", "database"},
		{"X11", "6000", "displays"},
		{"IRC", "6667", "chat"},
		{"SIP", "5060", "telephony"},
		{"DICOM", "104", "DICOM"},
		{"MLLP", "2575", "HL7"},
		{"NFS", "2049", "file"},
	} {
		form("port of "+port.name, "https://93.184.216.34:"+port.number+"/", port.service)
	}

	resolved("nothing but private addresses", "10.0.0.5 192.168.0.1 fd12::1", "private")
	resolved("an alias of loopback", "alias.example. 127.0.0.1", "loopback")
	resolved("an alias chain to metadata", "a.example. b.example. 169.254.169.254", "metadata")
	resolved("loopback in both families", "127.0.0.1 ::1", "loopback")
	opened("a name whose address is denied", "https://victim.example:PORT/", "93.184.216.34", opening{deny: "93.184.216.0/24"}, "--deny-endpoint")
	opened("a name that is denied", "https://Victim.Example.:PORT/", "93.184.216.34", opening{deny: "victim.example"}, "victim.example is closed")
	opened("an address that is denied", "https://93.184.216.34:PORT/", "", opening{deny: "93.184.216.34"}, "93.184.216.34 is closed")
	opened("a denied address, mapped", "https://[::ffff:93.184.216.34]:PORT/", "", opening{deny: "93.184.216.34"}, "closed")
	opened("a denied address behind NAT64", "https://victim.example:PORT/", "64:ff9b::5db8:d822", opening{deny: "93.184.216.34"}, "closed")
	opened("a denied address behind 6to4", "https://[2002:5db8:d822::1]:PORT/", "", opening{deny: "93.184.216.0/24"}, "closed")
	opened("a denied part of what is allowed", "https://10.0.0.5:PORT/", "", opening{allow: "10.0.0.0/8", deny: "10.0.0.0/24"}, "closed")
	opened("a denied port of what is allowed", "https://10.0.0.5:8443/", "", opening{allow: "10.0.0.0/8", deny: "10.0.0.5:8443"}, "closed")
	opened("a denied loopback in development", "http://127.0.0.1:PORT/", "", opening{dev: true, deny: "127.0.0.0/8"}, "closed")
	opened("development opens nothing private", "http://victim.example:PORT/", "10.0.0.5", opening{dev: true}, "private")
	opened("development opens no metadata", "http://victim.example:PORT/", "169.254.169.254", opening{dev: true}, "metadata")
	opened("development opens no unspecified address", "http://0.0.0.0:PORT/", "", opening{dev: true}, "unspecified")
	opened("development opens no loopback in disguise", "http://[64:ff9b::7f00:1]:PORT/", "", opening{dev: true}, "loopback")
	opened("an allowed range and an address beside it", "https://victim.example:PORT/", "10.1.0.5", opening{allow: "10.0.0.0/16"}, "private")
	opened("an allowed range in disguise", "https://victim.example:PORT/", "2002:a00:5::1", opening{allow: "10.0.0.0/8"}, "private")
	opened("everything allowed, and metadata", "https://victim.example:PORT/", "169.254.169.254", opening{allow: "0.0.0.0/0 ::/0"}, "metadata")
	opened("everything allowed, and metadata in disguise", "https://victim.example:PORT/", "64:ff9b::a9fe:a9fe", opening{allow: "0.0.0.0/0 64:ff9b::a9fe:0/112"}, "metadata")
	opened("everything allowed, and multicast", "https://victim.example:PORT/", "224.0.0.1", opening{allow: "0.0.0.0/0 ::/0"}, "no endpoint can be")
	opened("a host allowed, rebound to metadata", "https://victim.example:PORT/", "169.254.169.254", opening{allow: "victim.example"}, "metadata")
	opened("a host allowed at another port", "https://victim.example:PORT/", "10.0.0.5", opening{allow: "victim.example:8443"}, "private")
	opened("a host allowed, and one under it", "https://a.victim.example:PORT/", "10.0.0.5", opening{allow: "victim.example"}, "private")
	opened("http allowed by range, a public name", "http://victim.example:PORT/", "93.184.216.34", opening{allow: "10.0.0.0/8", http: "10.0.0.0/8"}, "not encrypted")
	opened("http allowed, the address not", "http://victim.example:PORT/", "10.0.0.5", opening{http: "victim.example"}, "private")
	opened("a range allowed, and a port of another protocol", "https://10.0.0.5:6379/", "", opening{allow: "10.0.0.0/8"}, "--allow-endpoint 10.0.0.5:6379")
	opened("a name in an allowed range, and a port of another protocol", "https://victim.example:5432/", "10.0.0.5", opening{allow: "10.0.0.0/8"}, "database")

	use("a public name", "https://victim.example/hook", "93.184.216.34", opening{}, "93.184.216.34:443")
	use("a public name at another port", "https://victim.example:8443/hook", "93.184.216.34", opening{}, "93.184.216.34:8443")
	use("a public name of IPv6", "https://victim.example/hook", "2606:2800:220:1:248:1893:25c8:1946", opening{}, "[2606:2800:220:1:248:1893:25c8:1946]:443")
	use("a public address", "https://93.184.216.34/hook", "", opening{}, "93.184.216.34:443")
	use("a public address, mapped", "https://[::ffff:93.184.216.34]/hook", "", opening{}, "93.184.216.34:443")
	use("a name with a mapped address", "https://victim.example/hook", "::ffff:93.184.216.34", opening{}, "93.184.216.34:443")
	use("a public address behind NAT64", "https://victim.example/hook", "64:ff9b::5db8:d822", opening{}, "[64:ff9b::5db8:d822]:443")
	use("a public address behind local NAT64", "https://victim.example/hook", "64:ff9b:1::5db8:d822", opening{}, "[64:ff9b:1::5db8:d822]:443")
	use("a public address behind 6to4", "https://victim.example/hook", "2002:5db8:d822::1", opening{}, "[2002:5db8:d822::1]:443")
	use("an alias", "https://victim.example/hook", "elsewhere.example. 93.184.216.34", opening{}, "93.184.216.34:443")
	use("a name in capitals with a dot", "https://Victim.Example./hook", "93.184.216.34", opening{}, "93.184.216.34:443")
	use("of a mix only the public address", "https://victim.example/hook", "10.0.0.5 93.184.216.34 127.0.0.1", opening{}, "93.184.216.34:443")
	use("loopback in development", "http://127.0.0.1:PORT/", "", opening{dev: true}, "127.0.0.1:PORT")
	use("a name of loopback in development", "http://victim.example:PORT/", "127.0.0.1", opening{dev: true}, "127.0.0.1:PORT")
	use("a range", "https://victim.example/hook", "10.0.0.5", opening{allow: "10.0.0.0/8"}, "10.0.0.5:443")
	use("a host", "https://victim.example/hook", "10.0.0.5", opening{allow: "victim.example"}, "10.0.0.5:443")
	use("a host at a port", "https://victim.example:8443/hook", "10.0.0.5", opening{allow: "victim.example:8443"}, "10.0.0.5:8443")
	use("an address of IPv6", "https://[fd12::1]/hook", "", opening{allow: "fd12::1"}, "[fd12::1]:443")
	use("metadata that was named singly", "https://169.254.169.254/", "", opening{allow: "169.254.169.254"}, "169.254.169.254:443")
	use("http to a range", "http://victim.example/hook", "10.0.0.5", opening{allow: "10.0.0.0/8", http: "10.0.0.0/8"}, "10.0.0.5:80")
	use("http to a public host", "http://victim.example/hook", "93.184.216.34", opening{http: "victim.example"}, "93.184.216.34:80")
	use("a port of another protocol that was named", "https://victim.example:6379/", "10.0.0.5", opening{allow: "victim.example:6379"}, "10.0.0.5:6379")
	use("what lies beside a denied range", "https://93.184.216.34/", "", opening{deny: "93.184.217.0/24"}, "93.184.216.34:443")
	use("another port than the denied one", "https://victim.example/", "93.184.216.34", opening{deny: "victim.example:8443"}, "93.184.216.34:443")
	use("a name under a denied one", "https://victim.example/", "93.184.216.34", opening{deny: "example"}, "93.184.216.34:443")
	return all
}
