package resthook

// otherServices are the ports of well-known services that don't speak HTTP: those that browsers refuse (Fetch
// standard, port blocking), and those of databases, caches, queues and the devices of a hospital. Some of these
// services obey lines of text, and would take a request for commands.
var otherServices = services(map[string][]uint16{
	"mail":                           {25, 109, 110, 143, 465, 587, 993, 995, 4190},
	"file transfer":                  {20, 21, 69, 115, 548, 989, 990, 2049},
	"remote log-in":                  {22, 23, 512, 513, 514, 3389},
	"name and directory services":    {42, 53, 135, 137, 139, 389, 427, 636},
	"the network's own management":   {111, 113, 123, 161, 179, 530, 4045},
	"printers and displays":          {515, 6000, 6566},
	"telephony":                      {554, 1719, 1720, 1723, 5060, 5061},
	"chat":                           {194, 531, 6665, 6666, 6667, 6668, 6669, 6679, 6697},
	"news":                           {119, 532, 563},
	"DICOM":                          {104, 11112},
	"HL7 version 2":                  {2575},
	"a database, a cache or a queue": {1433, 1521, 3306, 5432, 5672, 6379, 11211, 27017},
	"an old service": {
		1, 7, 9, 11, 13, 15, 17, 19, 37, 43, 77, 79, 87, 95, 101, 102, 103, 117, 526, 540, 556, 601, 3659, 10080,
	},
})

func services(ports map[string][]uint16) map[uint16]string {
	byPort := map[uint16]string{}
	for service, list := range ports {
		for _, port := range list {
			byPort[port] = service
		}
	}
	return byPort
}
