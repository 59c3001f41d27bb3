package criteria

// numbered are values that are known by numbers from 1, so that what leads to them holds no pointers: of these the garbage
// collector would have to follow every one.
type numbered[T any] struct {
	all  []T
	free []uint32
}

func (r *numbered[T]) add(v T) uint32 {
	if n := len(r.free); n > 0 {
		number := r.free[n-1]
		r.free = r.free[:n-1]
		r.all[number-1] = v
		return number
	}
	r.all = append(r.all, v)
	return uint32(len(r.all))
}

func (r *numbered[T]) at(number uint32) *T { return &r.all[number-1] }

func (r *numbered[T]) remove(number uint32) {
	var none T
	r.all[number-1] = none
	r.free = append(r.free, number)
}
