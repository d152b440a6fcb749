// Package change knows what has changed of services, and which change came just before something. It is pure: it gets what
// serves, what flags were evaluated to, who calls whom, and the time, which is in nanoseconds since the epoch throughout.
//
// What people do: another version or revision serves, or an earlier one again; pods of another template do; a flag is
// evaluated to something else, or by other rules. What may be their doing and may as well be a symptom: a flag is evaluated
// for the first time; instances are replaced; somebody is called for the first time; more requests come, or others. Packages
// rollout, flag and surge notice; [Book] remembers, and ranks.
//
// Of the changes that came just before an onset, one is told: what people did to the suspect, or else to those whom it calls or
// is called by, directly or not; or else what else befell the suspect, or those; or else what people did to anybody. Of those
// alike it is the latest. What people do counts for a quarter of an hour, the rest for five minutes. What has been taken back
// counts no more; to take back a release is a change in its turn, once the release is missed and not merely quiet.
//
// The bounds are 256 changes of either sort, 16 of one service; for each service, of which there are as many as package names
// tells apart, 16 releases and 16 templates at a time and 64 instances; 65,536 instances of all; and those of package flag.
package change
