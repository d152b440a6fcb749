package health

import "math"

// tail is the probability that of n trials, each of which hits with probability p, x or more hit. x and n need not be whole: it is
// the regularised incomplete beta function I_p(x, n−x+1), which for whole numbers is the sum of the binomial terms
// (https://dlmf.nist.gov/8.17.E5).
func tail(x, n, p float64) float64 {
	switch {
	case x <= 0 || p >= 1:
		return 1
	case p <= 0:
		return 0
	}
	return beta(p, x, n-x+1)
}

// beta is I_x(a, b) by its continued fraction (https://dlmf.nist.gov/8.17.E22), which converges quickly on one side of the mean;
// the other side is its complement.
func beta(x, a, b float64) float64 {
	if x > (a+1)/(a+b+2) {
		return 1 - beta(1-x, b, a)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	// The modified method of Lentz.
	const tiny, enough, most = 1e-300, 1e-12, 500
	c, d := 1.0, 1/nonzero(1-(a+b)*x/(a+1), tiny)
	value := d
	for m := 1.0; m <= most; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / nonzero(1+even*d, tiny)
		c = nonzero(1+even/c, tiny)
		value *= c * d
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / nonzero(1+odd*d, tiny)
		c = nonzero(1+odd/c, tiny)
		step := c * d
		value *= step
		if math.Abs(step-1) < enough {
			break
		}
	}
	return front * value
}

func nonzero(v, tiny float64) float64 {
	if math.Abs(v) < tiny {
		return tiny
	}
	return v
}

// upper is the upper end of Wilson's interval for a share, z standard deviations wide to each side, after k hits of n.
// E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
func upper(k, n, z float64) float64 {
	if n <= 0 {
		return 1
	}
	p, zz := k/n, z*z
	return min(1, (p+zz/(2*n)+z*math.Sqrt(p*(1-p)/n+zz/(4*n*n)))/(1+zz/n))
}
