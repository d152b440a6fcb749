package burn

import (
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// period is one window of a calendar, in buckets that begin with it. Its last bucket may be shorter.
type period struct {
	from, to, width int64
	counts          []Count
}

// periods are the two latest ones: an event may be ahead of the time for which the budget is asked, across their border.
type periods [2]period

// maxBuckets bounds a period's buckets: no month is longer than typical ones by more than a tenth.
const maxBuckets = 2 * buckets

// of returns the period that a time is in; nil if that is past.
func (p *periods) of(at int64, form *Form) *period {
	for i := range p {
		if at >= p[i].from && at < p[i].to {
			return &p[i]
		}
	}
	if at < min(p[0].from, p[1].from) {
		return nil
	}
	older := &p[0]
	if p[1].from < older.from {
		older = &p[1]
	}
	from, to := form.plan.Period(time.Unix(0, at))
	*older = period{from: from.UnixNano(), to: to.UnixNano(), width: int64(max(form.plan.Budget/buckets, finest))}
	return older
}

// bucket is the number of the bucket that a time is in, and its beginning and end.
func (p *period) bucket(at int64) (number int, from, to int64) {
	n := (at - p.from) / p.width
	from = p.from + n*p.width
	return int(n), from, min(p.to, from+p.width)
}

func (p *period) change(at int64, less, more Count) {
	number, _, _ := p.bucket(at)
	if number >= maxBuckets {
		number = maxBuckets - 1
	}
	for number >= len(p.counts) {
		p.counts = append(p.counts, Count{})
	}
	c := &p.counts[number]
	c.Good += more.Good - less.Good
	c.Bad += more.Bad - less.Bad
}

// budget is what the period has counted by now, and how much of the time that has gone by was measured.
func (p *period) budget(now int64, m maintenance) Budget {
	b := Budget{Elapsed: now - p.from, Length: p.to - p.from}
	measured := int64(0)
	for i, c := range p.counts {
		from := p.from + int64(i)*p.width
		if from > now {
			break
		}
		b.Good += c.Good
		b.Bad += c.Bad
		if c != (Count{}) {
			measured += m.open(from, min(from+p.width, now))
		}
	}
	b.Coverage = share(measured, m.open(p.from, now))
	return b
}

func (p *periods) put(b []byte) []byte {
	for i := range p {
		each := &p[i]
		b = snapshot.Int(snapshot.Int(b, each.from), each.to)
		b = snapshot.Uint(b, uint64(each.width))
		b = snapshot.Uint(b, uint64(len(each.counts)))
		for _, c := range each.counts {
			b = c.put(b)
		}
	}
	return b
}

// take reads the periods. Those of another calendar, or of a time later than latest, are left out.
func (p *periods) take(r *snapshot.Reader, form *Form, latest int64) {
	for range p {
		read := period{from: r.Int(), to: r.Int(), width: r.Time()}
		for range r.Len() {
			read.counts = append(read.counts, takeCount(r))
		}
		if r.Err() != nil {
			return
		}
		if form.plan.Period == nil || read.from < 0 || read.to <= read.from || read.from > latest || len(read.counts) > maxBuckets {
			continue
		}
		if is := p.of(read.from, form); is != nil && is.from == read.from && is.to == read.to && is.width == read.width {
			is.counts = read.counts
		}
	}
}
