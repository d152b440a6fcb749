// Package openslo reads OpenSLO v1 documents and turns them into objectives that can be measured.
//
// It follows the OpenSLO specification (https://github.com/OpenSLO/OpenSLO), kinds DataSource, Service, SLI, SLO,
// AlertPolicy, AlertCondition and AlertNotificationTarget, by reference or inlined. Whatever a document asks for is
// either honoured or refused with its file, line, key and reason: a setting that is quietly left out would be read by
// somebody as a promise. Labels, and annotations outside throughline/, are by specification metadata for others and
// carry no request, so they are checked for form and left alone.
//
// What the specification leaves to an implementation is decided like this:
//
//   - A file has one document, several, or a list of them. What a list refers to may be a bare name.
//   - A metric source of type OpenTelemetry has the spec {signal, condition, value, groupBy, service}; the texts are OTTL.
//     Sources of other types would have to be queried, and are refused.
//   - spec.service is service.name, or service.namespace/service.name. A name alone means that service in any namespace.
//   - good and bad are asked of the items in total. Of their ratio, the op of an objective can only say gte: it must be the
//     target or more. counter can only be true, except beside raw, of which it says nothing: items and what sums have
//     counted are added up, and whether a metric is a gauge it says itself.
//   - raw needs a value, which is the share, from 0 to 1. Of a thresholdMetric over metrics the value may be left out: it
//     is then a point's own, or what a histogram has observed.
//   - Durations are a whole number and one of s, m, h, d, w, M (30 days), Q (90 days), Y (365 days).
//   - A window of a calendar lasts for a number of d, w, M, Q or Y as they are in that calendar; its startTime, 2026-01-01
//     00:00:00 or a day alone, is when one of the windows begins on the clocks of its timeZone.
//   - Time slices follow one another from the epoch on. timeSliceWindow is a duration, or a number of minutes; no window of
//     an alert can be shorter. A slice is good if the share of its good events is timeSliceTarget or more; with
//     RatioTimeslices it counts with that share.
//   - An SLO without timeWindow has a rolling window of 30 days, the one that the SRE Workbook's numbers are made for.
//   - An SLO without alertPolicies gets the four pairs of windows of the SRE Workbook, chapter 5: 1h/5m at 14.4 and 6h/30m
//     at 6 to page, 1d/2h at 3 and 3d/6h at 1 for a ticket. For another window than 30 days the pairs stretch with it, so
//     that each still stands for the same share of the budget (2 %, 5 %, 10 %, 10 %).
//   - An alert condition looks at one window, lookbackWindow, unless its annotation throughline/short-window adds a second.
//     Its op can only be gt or gte, and is gte if it is left out.
//   - An alert policy can't be silent about burns (alertWhenBreaching: false); it is silent about no data unless
//     alertWhenNoData is true.
//   - Several objectives in one SLO are named name/displayName (in lower case, words joined by dashes), or name/percent if
//     there is no display name.
//   - An SLI, AlertPolicy or AlertCondition that nothing refers to is refused, for it looks as if it measured or alerted. A
//     Service, DataSource or AlertNotificationTarget only describes what there is, and may stand alone; [Watcher.Idle] tells of
//     those that do. The Service of an SLO need not be there.
//   - The AlertNotificationTargets of a policy go along with the events: delivery is the business of who receives these.
//   - A burn rate that not even an outage of everything reaches, 1 / (1 − target), is refused, also as one of the default
//     pairs.
//
// What the specification has no word for are annotations. One under throughline/ that is not among these is refused:
//
//   - throughline/runbook of an alert condition, else of its policy, else of the SLO, else of the Service, is a link that
//     goes along with the events. It must be an http or https URL, because people on call will click on it.
//   - throughline/short-window of an alert condition is its second, short window.
//   - throughline/exclude of an SLO or of its SLI, not of both, is an OTTL condition of items that do not count at all.
//   - throughline/maintenance of an SLO or a Service are times that do not count, as from/to in RFC 3339 with commas or
//     line ends between them. Those of a Service are those of all its SLOs, too.
//   - throughline/minimum-events of an alert condition, else of the SLO, is how many events the long window must have
//     before the alert can start.
package openslo
