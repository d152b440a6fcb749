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
//   - A metric source of type OpenTelemetry has the spec {signal, condition, value, groupBy, service}; the texts are OTTL.
//   - spec.service is service.name, or service.namespace/service.name. A name alone means that service in any namespace.
//   - Durations are a whole number and one of s, m, h, d, w, M (30 days), Q (90 days), Y (365 days).
//   - An SLO without timeWindow has a rolling window of 30 days, the one that the SRE Workbook's numbers are made for.
//   - An SLO without alertPolicies gets the four pairs of windows of the SRE Workbook, chapter 5: 1h/5m at 14.4 and 6h/30m
//     at 6 to page, 1d/2h at 3 and 3d/6h at 1 for a ticket. For another window than 30 days the pairs stretch with it, so
//     that each still stands for the same share of the budget (2 %, 5 %, 10 %, 10 %).
//   - An alert condition looks at one window, lookbackWindow, unless its annotation throughline/short-window adds a second.
//   - The runbook link is the annotation throughline/runbook of the alert condition, else of its policy, else of the SLO,
//     else of the Service. It must be an http or https URL, because people on call will click on it.
//   - Several objectives in one SLO are named name/displayName (in lower case, words joined by dashes), or name/percent
//     if there is no display name.
//   - An SLI, AlertPolicy or AlertCondition that nothing refers to is refused, for it looks as if it measured or alerted. A
//     Service, DataSource or AlertNotificationTarget only describes what there is, and may stand alone.
//   - A burn rate that not even an outage of everything reaches, 1 / (1 − target), is refused, also as one of the default pairs.
package openslo
