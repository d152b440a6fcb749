// Package shares compares how often something happens in two times.
package shares

import "math"

// Certain is how much likelier, in nats, two shares have to be than one for a change to be told: chance alone makes it as
// much once in 10,000 times.
const Certain = 7.5

// Weight is how much likelier k of n and x of m are, in nats, with a share each than with one for both: half of G, which of
// chance alone has the chi-squared distribution with one degree of freedom. S. S. Wilks, The large-sample distribution of
// the likelihood ratio for testing composite hypotheses, Annals of Mathematical Statistics 9 (1938). n and m are positive, k
// and x at most as many.
func Weight(k, n, x, m float64) float64 {
	both := (k + x) / (n + m)
	return likelihood(k, n, k/n) + likelihood(x, m, x/m) - likelihood(k, n, both) - likelihood(x, m, both)
}

// likelihood is the logarithm of that of k of n with a share, without the part that does not depend on the share.
func likelihood(k, n, share float64) float64 {
	var l float64
	if k > 0 {
		l += k * math.Log(share)
	}
	if k < n {
		l += (n - k) * math.Log1p(-share)
	}
	return l
}
