# amax and amin with their gradient: dim None or a tuple, out a tensor or None
cdef object extremum(str op, int row, object input, object dim, bint keepdim, object out)
