package evidence

import "github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"

// apart is what the records of a service that name no request said in the present moment.
type apart struct {
	moment int64
	events []count
}

// Note takes in a log record of a service that names no request. Nobody knows in how many requests it might have been written, so that
// moments are the units: those in which it is, of all there are. What the service was asked to do decides which of its usual
// records it writes, so that only warnings, errors and what has no severity are told apart by their templates.
func (b *Book) Note(service uint32, n Note, now int64) {
	if service <= names.Other {
		return
	}
	a := b.apart[service]
	if a == nil {
		a = &apart{moment: now / moment}
		b.apart[service] = a
		b.services = append(b.services, service)
	}
	b.closeMoments(service, a, now)
	if n.Template != 0 && (n.Severity == 0 || n.Severity >= severityWarning) {
		a.note(event{kind: Record, what: n.Template, alone: true})
	}
	switch {
	case n.Severity >= severityError:
		a.note(event{kind: ErrorRecords, what: service, alone: true})
	case n.Severity >= severityWarning:
		a.note(event{kind: WarningRecords, what: service, alone: true})
	}
}

func (a *apart) note(e event) {
	if indexOf(a.events, e) < 0 && len(a.events) < maxPerStratum {
		a.events = append(a.events, count{e, 1, e.what})
	}
}

// closeApart closes the moments that are over. While nothing comes from anywhere there are none.
func (b *Book) closeApart(now int64) {
	for _, service := range b.services {
		b.closeMoments(service, b.apart[service], now)
	}
}

// closeMoments makes units of a service's moments that are over, also of those in which it wrote nothing.
func (b *Book) closeMoments(service uint32, a *apart, now int64) {
	current := now / moment
	if now-b.observed > pause {
		a.moment, a.events = current, a.events[:0]
	}
	for ; a.moment < current; a.moment++ {
		s := b.stratum(mix(4, service))
		if s == nil {
			a.moment = current
			return
		}
		at := a.moment * moment
		b.events = append(b.events[:0], a.events...)
		a.events = a.events[:0]
		b.settle(s, at)
		for _, c := range b.events {
			b.know(s, key{names.None, c.event}, service)
		}
		if s.witnesses >= leastPast {
			b.judge(s, 1, at, false)
		}
		b.count(s, 1, at)
	}
}
