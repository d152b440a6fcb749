package reader

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

// host is the name of a peer that is known by its address only: the host without its port, what was generated in it replaced by
// an asterisk, or the network of an IP address. This host names nobody.
//
// Addresses are without number where peers scale, and each would be a dependency of its own.
func host(address string) (name string, source names.Source) {
	address = strings.TrimSuffix(withoutPort(address), ".")
	if ip, err := netip.ParseAddr(address); err == nil {
		return network(ip.Unmap()), names.FromNetwork
	}
	if address == "" || strings.EqualFold(address, "localhost") {
		return "", names.FromTelemetry
	}
	if name = tame(address); hidesAddress(address, name) {
		return name, names.FromNetwork
	}
	return name, names.FromHost
}

// hidesAddress says whether the first label of a host is nothing but generated, or an IPv4 address written as a name
// (ip-10-0-0-1.ec2.internal): what is left of it in the tamed name stands for as many hosts as a network has.
func hidesAddress(host, tamed string) bool {
	if first, _, _ := strings.Cut(tamed, "."); first == "*" {
		return true
	}
	label, _, _ := strings.Cut(host, ".")
	octets := 0
	for part := range strings.SplitSeq(label, "-") {
		if n, err := strconv.Atoi(part); err != nil || n < 0 || n > 255 {
			octets = 0
		} else if octets++; octets == 4 {
			return true
		}
	}
	return false
}

// isAddress says whether a host is an IP address, this host, or nothing: what names nobody.
func isAddress(host string) bool {
	if host == "localhost" {
		return true
	}
	host = withoutPort(host)
	for i := range len(host) {
		c := host[i]
		if c == ':' {
			return true // No host name has a colon.
		}
		if c != '.' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// withoutPort takes the port from host:port and [address]:port.
func withoutPort(address string) string {
	if strings.HasPrefix(address, "[") {
		inner, _, _ := strings.Cut(address[1:], "]")
		return inner
	}
	if first := strings.IndexByte(address, ':'); first >= 0 && first == strings.LastIndexByte(address, ':') {
		return address[:first]
	}
	return address
}

// network is the surroundings of an address: with 24 bits of an IPv4 address and 48 of an IPv6 one, as a site gets them.
func network(ip netip.Addr) string {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return ""
	}
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	prefix, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

// tame replaces the generated parts of a host name: in its first label the numbers (redis-0, ip-10-0-0-1) and the hashes that
// deployments append (cart-7d9f8b6c5d-x2x9z), in the others what looks like a hash.
func tame(name string) string {
	if !strings.ContainsAny(name, "0123456789") {
		return name // No part without a digit is taken for generated, but the last of a pod's name.
	}
	labels := strings.Split(name, ".")
	for i, label := range labels {
		parts := strings.Split(label, "-")
		kept := parts[:0]
		generated := false
		for _, part := range parts {
			if isHash(part) || i == 0 && isNumber(part) || generated && (len(part) == podSuffix || len(part) == uuidMiddle && isHex(part)) {
				generated = true
				if len(kept) == 0 || kept[len(kept)-1] != "*" {
					kept = append(kept, "*")
				}
				continue
			}
			kept = append(kept, part)
		}
		labels[i] = strings.Join(kept, "-")
	}
	return strings.Join(labels, ".")
}

const (
	// podSuffix is the length of the random end of a Kubernetes pod's name.
	podSuffix = 5
	// uuidMiddle is the length of a UUID's middle parts.
	uuidMiddle = 4
)

func isHex(part string) bool { return strings.Trim(part, "0123456789abcdefABCDEF") == "" }

func isNumber(part string) bool {
	return part != "" && strings.Trim(part, "0123456789") == ""
}

// isHash says whether a part of a name looks as if a machine had drawn it: long, and letters and digits mixed more than a person
// would, or hexadecimal.
func isHash(part string) bool {
	if len(part) < 8 {
		return false
	}
	digits, changes := 0, 0
	for i := range len(part) {
		digit := part[i] >= '0' && part[i] <= '9'
		if digit {
			digits++
		}
		if i > 0 && digit != (part[i-1] >= '0' && part[i-1] <= '9') {
			changes++
		}
	}
	return digits > 0 && (changes >= 3 || isHex(part))
}
