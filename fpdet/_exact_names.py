"""Names of torch's functions and ops that fpdet leaves to torch inside ``with fpdet.arithmetic(...)``.

EXACT        they move, compare or make values, and so do their derivatives
ASKING       of these, those that only ask about a tensor or make one beside it
BROADCASTING of these, those whose derivative adds where an operand with gradient was broadcast
EXACT_HERE   exact where no gradient is asked for; their derivatives would add
ENGINE       run autograd, whose additions the lower mode replaces
BELOW        ATen ops, as the lower mode meets them: exact

Names are those of torch.overrides: one name covers a function, the Tensor method and the operator alike.
"""

EXACT = frozenset(
    """
    __get__ __set__ __delete__ __len__ __repr__ __format__ __hash__ __contains__ __deepcopy__
    __reduce_ex__ __dir__ __setitem__ __bool__ __int__ __float__ __index__ __array__ __iter__ __setstate__
    __reversed__ __dlpack__ __dlpack_device__ __complex__ __nonzero__ __long__ __eq__ __ne__ __lt__ __le__
    __gt__ __ge__ eq ne lt le gt ge equal isnan isinf isfinite isclose allclose is_nonzero isneginf
    isposinf isreal isin not_equal greater greater_equal less less_equal signbit __and__ __or__ __xor__
    __invert__ logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not any all
    view view_as reshape reshape_as flatten unflatten ravel permute transpose transpose_ t t_ T movedim
    moveaxis swapaxes swapdims squeeze squeeze_ unsqueeze unsqueeze_ contiguous clone detach detach_
    select narrow split split_with_sizes chunk tensor_split hsplit vsplit dsplit unbind cat concat
    concatenate stack hstack vstack dstack column_stack row_stack flip fliplr flipud rot90 roll tril triu
    tril_ triu_ diagonal diag diag_embed atleast_1d atleast_2d atleast_3d pixel_shuffle pixel_unshuffle
    channel_shuffle broadcast_shapes adjoint mT mH H positive neg neg_ negative abs abs_ absolute sign sgn
    sign_ floor ceil trunc round fix floor_ ceil_ round_ trunc_ relu relu_ relu6 hardtanh hardtanh_
    threshold threshold_ clamp clamp_ clip clip_ clamp_min clamp_max clamp_min_ clamp_max_ masked_fill
    masked_fill_ masked_select sort argsort topk kthvalue argmax argmin msort max_unpool2d nonzero zeros
    ones empty full zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full
    new_tensor tensor as_tensor asarray from_numpy scalar_tensor arange eye fill_ zero_ one_hot
    empty_strided zeros_ ones_ constant_ eye_ size dim ndimension numel nelement stride storage_offset
    element_size data_ptr is_contiguous is_floating_point is_complex is_signed is_same_size is_inference
    is_shared is_pinned is_set_to get_device untyped_storage storage has_names item tolist numpy cpu
    pin_memory share_memory_ requires_grad_ retain_grad register_hook register_post_accumulate_grad_hook
    as_subclass set_ apply_ map_ _is_view is_tensor is_storage result_type can_cast is_coalesced dense_dim
    sparse_dim names _backward_hooks grad _version is_leaf __torch_dispatch__ resolve_conj resolve_neg
    conj real _has_compatible_shallow_copy_type
    """.split()
)
ASKING = frozenset(  # of EXACT, those that only ask about a tensor
    """
    __get__ __set__ __delete__ __len__ __repr__ __format__ __hash__ __dir__ __setstate__ __reduce_ex__
    size dim ndimension numel nelement stride storage_offset element_size data_ptr is_contiguous
    is_floating_point is_complex is_signed is_same_size is_inference is_shared is_pinned is_set_to
    get_device untyped_storage storage has_names register_hook requires_grad_ retain_grad _is_view
    is_tensor is_storage result_type can_cast names grad is_leaf zeros_like ones_like empty_like
    _has_compatible_shallow_copy_type
    """.split()
)
EXACT_HERE = frozenset(
    """
    max min amax amin maximum minimum fmax fmin cummax cummin aminmax median mode unique nan_to_num
    as_strided
    """.split()
)
BROADCASTING = frozenset(
    """
    masked_fill masked_fill_ masked_select clamp clamp_ clip clip_ clamp_min clamp_max clamp_min_
    clamp_max_ fill_ __setitem__
    """.split()
)
ENGINE = frozenset(["backward", "grad"])
BELOW = frozenset(
    """
    view _unsafe_view reshape detach detach_ alias clone copy_ _to_copy expand permute t transpose
    unsqueeze squeeze select slice select_backward slice_backward split split_with_sizes unbind stack cat
    neg abs relu relu_ threshold_backward where masked_fill masked_fill_ zeros_like ones_like full_like
    empty_like new_zeros new_ones new_empty new_full new_empty_strided empty empty_strided zeros ones full
    fill_ zero_ scalar_tensor lift_fresh lift_fresh_copy is_same_size copy fill zero eq ne lt le gt ge
    isnan isinf isfinite equal _local_scalar_dense amax amin max min argmax argmin maximum minimum clamp
    clamp_min clamp_max sign sgn sort topk gather scatter index index_select flip roll constant_pad_nd
    tril triu diagonal diagonal_backward as_strided as_strided_ unfold repeat
    value_selecting_reduction_backward hardtanh_backward hardtanh set_ resize_ record_stream view_as_real
    hardtanh_ threshold any all nonzero max_pool2d_with_indices ceil floor round trunc
    """.split()
)
