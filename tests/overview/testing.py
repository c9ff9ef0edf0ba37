# Unit Tests
import rustorch_py.testing as testing

def test_tensor_operations():
    a = rustorch_py.create_tensor([1, 2, 3])
    b = rustorch_py.create_tensor([4, 5, 6])
    
    result = rustorch_py.tensor_add(a, b)
    expected = [5, 7, 9]
    
    testing.assert_tensor_equal(result, expected)
