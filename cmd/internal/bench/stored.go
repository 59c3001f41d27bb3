package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// What is stored beforehand is a practice's: each patient has visits, problems and mostly measurements, under ids that
// are random, as other systems assign them, so that they go everywhere in the store's order. Everything follows from
// the number alone, from 0 on.
const (
	householdSize = 20 // a patient and what belongs to it
	revisedEach   = 11 // every so many have a second version
)

// storedID is the id of a number: a UUID, always the same, of bits that are spread well (SplitMix64's finisher).
func storedID(i int) string {
	spread := func(z uint64) uint64 {
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	a, b := spread(uint64(i)+1), spread(bits.ReverseBytes64(uint64(i)+1))
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&(1<<48-1))
}

// storedRow is a resource and its number; of a second version the status differs from the first's.
func storedRow(i int, second bool) string {
	patient := storedID(i - i%householdSize)
	visit := storedID(i - i%householdSize + 1)
	day := fmt.Sprintf("%04d-%02d-%02d", 2015+i%11, 1+i/11%12, 1+i/132%28)
	switch id := storedID(i); i % householdSize {
	case 0:
		return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"active":%t,"identifier":[{"system":"http://hospital.example.org/mrn","value":"%09d"}],`+
			`"name":[{"family":"Family%d","given":["Given%d"]}],"gender":%q,"birthDate":"%04d-%02d-%02d","address":[{"line":["Long Street %d"],"city":"Town %d","postalCode":"%05d"}]}`,
			id, !second, i, i/householdSize%50_000, i/householdSize%3000, [...]string{"female", "male"}[i/householdSize%2], 1930+i%90, 1+i/90%12, 1+i/1080%28, i%200, i%700, i%100_000)
	case 1, 2:
		return fmt.Sprintf(`{"resourceType":"Encounter","id":%q,"status":%q,"class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},`+
			`"type":[{"coding":[{"system":"http://snomed.info/sct","code":"%d","display":"Encounter for check up"}]}],"subject":{"reference":"Patient/%s"},`+
			`"period":{"start":"%sT08:%02d:00+02:00","end":"%sT09:%02d:00+02:00"}}`,
			id, revised(second, "in-progress", "finished"), 185_345_009+i%40, patient, day, i%60, day, i%60)
	case 3, 4:
		return fmt.Sprintf(`{"resourceType":"Condition","id":%q,"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":%q}]},`+
			`"code":{"coding":[{"system":"http://snomed.info/sct","code":"%d"}],"text":"Problem %d"},"subject":{"reference":"Patient/%s"},"encounter":{"reference":"Encounter/%s"},"onsetDateTime":"%s"}`,
			id, revised(second, "active", "resolved"), 10_000_000+i%3000, i%3000, patient, visit, day)
	default:
		return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":%q,"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],`+
			`"code":{"coding":[{"system":"http://loinc.org","code":"%d-%d"}],"text":"Measurement %d"},"subject":{"reference":"Patient/%s"},"encounter":{"reference":"Encounter/%s"},`+
			`"effectiveDateTime":"%sT%02d:%02d:00+02:00","valueQuantity":{"value":%d.%d,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}`,
			id, revised(second, "preliminary", "final"), 8000+i%400, i%10, i%400, patient, visit, day, i%24, i%60, i%250, i%10)
	}
}

func revised(second bool, first, then string) string {
	if second {
		return then
	}
	return first
}

// storedFileRows is how many resources a file of the import has.
const storedFileRows = 500_000

// storedFiles writes n resources as files of an import into a folder, compressed, and returns their paths in order. Those
// that are there are left: they are right. Second versions stand some thousand lines behind the first.
func storedFiles(ctx context.Context, dir string, n int, progress func(done int)) (paths []string, err error) {
	for from := 0; from < n; from += storedFileRows {
		path := filepath.Join(dir, fmt.Sprintf("stored-%09d-%09d.ndjson.zst", from, min(from+storedFileRows, n)))
		paths = append(paths, path)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := storedFile(path, from, min(from+storedFileRows, n)); err != nil {
			return nil, fmt.Errorf("write what is to be stored: %w", err)
		}
		progress(min(from+storedFileRows, n))
	}
	return paths, nil
}

func storedFile(path string, from, to int) (err error) {
	file, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err == nil {
			err = os.Rename(path+".new", path)
		}
	}()
	packed, err := zstd.NewWriter(file, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(packed, 1<<16)
	writeStored(out, from, to)
	return errors.Join(out.Flush(), packed.Close())
}

// writeStored writes the resources of some numbers, a line each, and the second versions of some behind.
func writeStored(out io.Writer, from, to int) {
	const behind = 5000 // lines between the versions of a resource, so that they come in several transactions
	for i := from; i < to+behind; i++ {
		if i < to {
			fmt.Fprintln(out, storedRow(i, false))
		}
		if old := i - behind; old >= from && old%revisedEach == 0 {
			fmt.Fprintln(out, storedRow(old, true))
		}
	}
}
