package openslo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCalendarsKnowMonthsAndClocks(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	const form = "2006-01-02 15:04:05 -0700"
	for _, test := range []struct {
		name     string
		calendar Calendar
		at       string
		from, to string
	}{
		{
			"a month",
			Calendar{time.Date(2020, 1, 1, 0, 0, 0, 0, berlin), 1, Month},
			"2024-02-29 23:59:59 +0100", "2024-02-01 00:00:00 +0100", "2024-03-01 00:00:00 +0100",
		},
		{
			"the last day of months",
			Calendar{time.Date(2023, 1, 31, 0, 0, 0, 0, berlin), 1, Month},
			"2023-03-01 00:00:00 +0100", "2023-02-28 00:00:00 +0100", "2023-03-31 00:00:00 +0200",
		},
		{
			"before the start",
			Calendar{time.Date(2030, 1, 1, 0, 0, 0, 0, berlin), 3, Month},
			"2023-03-01 00:00:00 +0100", "2023-01-01 00:00:00 +0100", "2023-04-01 00:00:00 +0200",
		},
		{
			"a day of 23 hours",
			Calendar{time.Date(2020, 1, 1, 0, 0, 0, 0, berlin), 1, Day},
			"2024-03-31 12:00:00 +0200", "2024-03-31 00:00:00 +0100", "2024-04-01 00:00:00 +0200",
		},
		{
			"a week of 169 hours",
			Calendar{time.Date(2024, 1, 1, 0, 0, 0, 0, berlin), 7, Day},
			"2024-10-27 02:30:00 +0100", "2024-10-21 00:00:00 +0200", "2024-10-28 00:00:00 +0100",
		},
		{
			"years from a leap day",
			Calendar{time.Date(2020, 2, 29, 0, 0, 0, 0, berlin), 1, Year},
			"2023-12-01 00:00:00 +0100", "2023-02-28 00:00:00 +0100", "2024-02-29 00:00:00 +0100",
		},
		{
			"its first moment",
			Calendar{time.Date(2020, 1, 1, 0, 0, 0, 0, berlin), 1, Month},
			"2024-02-01 00:00:00 +0100", "2024-02-01 00:00:00 +0100", "2024-03-01 00:00:00 +0100",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := time.Parse(form, test.at)
			require.NoError(t, err)
			from, to := test.calendar.Period(at)
			assert.Equal(t, test.from, from.Format(form))
			assert.Equal(t, test.to, to.Format(form))
		})
	}
}
