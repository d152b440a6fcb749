package note

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"
)

func TestTheFilterForgetsWithTheIndex(t *testing.T) {
	x := New(64<<10, time.Minute, Config{})
	record := plog.NewLogRecord()
	record.SetSpanID([8]byte{1})
	record.SetSeverityNumber(plog.SeverityNumberError)
	marked := func() (sum int64) {
		for i := range x.filter {
			sum += int64(x.filter[i].Load())
		}
		return sum
	}
	for i := range uint64(5000) {
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], i+1)
		record.SetTraceID(id)
		x.Add(1, record)
	}
	assert.Positive(t, x.Evicted().Bytes)
	assert.Equal(t, x.spans.Load(), marked())
	x.sweep(int64(time.Hour))
	assert.True(t, x.Empty())
	assert.Zero(t, marked())
}
